"""sleep() and an asyncio loop over the host's one way to wait.

WASI's poll is not linked, so that nothing can wait past the run's time; threads and sockets do not
exist, so that an event loop needs timers only.
"""

# mypy: ignore-errors
# The guest runs on another interpreter, beside modules that exist in its build only.

import asyncio
import asyncio.events
import time


class _Timers:
    """The part of a selector that a loop without sockets uses: waiting."""

    def __init__(self, sleep):
        self._sleep = sleep

    def select(self, timeout=None):
        if timeout is None:
            raise RuntimeError("the event loop waits for something that cannot come")
        if timeout > 0:
            self._sleep(timeout)
        return []


class _Loop(asyncio.BaseEventLoop):
    def __init__(self, sleep):
        super().__init__()
        self._selector = _Timers(sleep)

    def _process_events(self, event_list):
        """There are none."""

    def _write_to_self(self):
        """There is no other thread to wake this one."""


def install(sleep_ns):
    """Replace ``time.sleep`` and the event loop that ``asyncio.run`` makes."""

    def sleep(secs):
        if secs < 0:
            raise ValueError("sleep length must be non-negative")
        sleep_ns(min(int(secs * 1e9), 2**63 - 1))

    time.sleep = sleep
    asyncio.new_event_loop = asyncio.events.new_event_loop = lambda: _Loop(sleep)
