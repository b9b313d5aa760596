"""Coroutines that Ctrl-C ends at once, whenever it comes.

A signal's handler in Python runs as soon as the main thread executes Python again. Where the
signal comes just before the event loop begins to wait, nothing wakes the loop, and Ctrl-C would
take effect only when something else happens: at a question, never. So each signal also writes a
byte to a socket that the loop watches.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

__all__ = ["run_interruptible"]

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")

_MANY_BYTES = 4096


def run_interruptible(
    function: Callable[[*_Arguments], Awaitable[_Result]], *arguments: *_Arguments
) -> _Result:
    """Run a coroutine function to its end in a new event loop, from the main thread.

    Raises ``KeyboardInterrupt`` after Ctrl-C, once the coroutine was cancelled and has ended; what
    the coroutine raises is passed on.
    """

    async def run() -> _Result:
        with _woken_by_signals():
            return await function(*arguments)

    return anyio.run(run)


@contextmanager
def _woken_by_signals() -> Iterator[None]:
    loop = asyncio.get_running_loop()
    ours, signals = socket.socketpair()
    with ours, signals:
        ours.setblocking(False)
        signals.setblocking(False)
        loop.add_reader(ours, lambda: ours.recv(_MANY_BYTES))
        before = signal.set_wakeup_fd(signals.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            loop.remove_reader(ours)
