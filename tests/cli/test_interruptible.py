"""Ctrl-C reaches a coroutine also where it does not break off the event loop's wait."""

from __future__ import annotations

import subprocess
import sys

import anyio.lowlevel
import pytest

from agentkit.cli.interruptible import run_interruptible
from tests.cli.fresh import environment

# A signal that another thread takes leaves the loop waiting, as one does that comes just before
# the wait begins.
PROGRAM = """
import os, signal, threading, time
import anyio
from agentkit.cli.interruptible import run_interruptible

def interrupt():
    waiting.wait()
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait()

async def wait():
    waiting.set()
    try:
        await anyio.sleep_forever()
    finally:
        print("cleaned up", flush=True)

waiting = threading.Event()
threading.Thread(target=interrupt, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
try:
    run_interruptible(wait)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_a_signal_that_breaks_no_wait_ends_the_coroutine() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n") == ["cleaned up", "interrupted", ""]


def test_what_the_coroutine_returns_or_raises_is_passed_on() -> None:
    async def half(number: int) -> int:
        await anyio.lowlevel.checkpoint()
        if number % 2:
            raise ValueError(number)
        return number // 2

    assert run_interruptible(half, 6) == 3
    with pytest.raises(ValueError, match="7"):
        run_interruptible(half, 7)
