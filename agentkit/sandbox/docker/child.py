"""The runner's end of one interpreter: its pipes, and waiting for what comes out of them.

Inside the container. What is covered: whatever arrives is bounded and must carry the run's number;
the wait ends at the answer, the deadline, a flood, the interpreter's death or a hang-up outside.
"""

from __future__ import annotations

import codecs
import os
import select
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from agentkit.sandbox.docker.interpreter import become_interpreter
from agentkit.sandbox.docker.processes import describe_death, stopped
from agentkit.sandbox.frames import FrameError, FrameReader, encode_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkit.sandbox.docker.line import Line

__all__ = ["Child", "Output"]

_POLL_S = 0.05
_REPLY_BYTES = 24 << 20
_FORGED = "the code wrote into its interpreter's own channel"
_FROM_CHILD = ("exit", "value", "error", "state_lost", "shown", "cpu_s", "peak_memory_bytes")
_OF_CALL = ("call", "name", "arguments")
_FOR_CHILD = ("code", "functions", "call_bytes", "shown_room", "imports", "seed")


class Output:
    """Forwards one run's output up to its limit and counts the rest."""

    def __init__(self, limit: int, flood: int, send: Callable[[dict[str, Any]], None]) -> None:
        self._room, self._flood, self._send = limit, flood, send
        self._decoders = {
            stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in (1, 2)
        }
        self._written = 0
        self.dropped = 0

    @property
    def flooded(self) -> bool:
        """Whether the code went far over its limit."""
        return self._written > self._flood

    def take(self, stream: int, data: bytes) -> None:
        """Forward what fits of ``data``."""
        self._written += len(data)
        kept = data[: self._room]
        self._room -= len(kept)
        self.dropped += len(data) - len(kept)
        text = self._decoders[stream].decode(kept)
        if text:
            self._send({"type": "output", "stream": stream, "text": text})


class Child:
    """One interpreter and the four pipes to it."""

    def __init__(self, memory_bytes: int) -> None:
        request, self._request = os.pipe()
        self._result, result = os.pipe()
        self._out, out = os.pipe()
        self._err, err = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            become_interpreter(request, result, out, err, memory_bytes)
        for fd in (request, result, out, err):
            os.close(fd)
        self._ours = (self._request, self._result, self._out, self._err)
        for fd in self._ours:
            os.set_blocking(fd, False)
        self._reader = FrameReader(_REPLY_BYTES)
        self._status: int | None = None
        self._pending = b""
        self._calling = False

    def has_died(self) -> bool:
        """Collect every dead process of the container; return whether this one is among them."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == self.pid:
                    self._status = status
        return self._status is not None

    def close(self) -> None:
        """Close this end of the pipes."""
        for fd in self._ours:
            os.close(fd)

    def drain(self, output: Output) -> None:
        """Take what the pipes hold at this moment."""
        for stream, fd in ((1, self._out), (2, self._err)):
            while (data := _read(fd)) and not output.flooded:
                output.take(stream, data)

    def execute(
        self, asked: dict[str, Any], output: Output, deadline: float, line: Line
    ) -> dict[str, Any]:
        """Have code run and return its result; the interpreter may be alive or not after it.

        ``deadline``: on the monotonic clock. ``line``: where its calls go and their answers come
        from; where that hangs up, the whole container ends.
        """
        number = os.urandom(8).hex()
        wanted = {key: asked[key] for key in _FOR_CHILD}
        self._pending = encode_frame({**wanted, "run": number})
        self._calling = False
        poll = select.poll()
        poll.register(line.fd, 0)
        poll.register(self._request, select.POLLOUT)
        for fd in (self._result, self._out, self._err):
            poll.register(fd, select.POLLIN)
        result = None
        while result is None:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return stopped("timeout", "the time was over")
            ready = line.wait(poll, min(remaining, _POLL_S), listen=self._calling)
            for answer in line.taken():
                if self._calling and answer.get("op") == "answer":
                    self._calling = False
                    self._pending += encode_frame(answer)
            if self._request in ready:
                self._pending = self._pending[_write(self._request, self._pending) :]
            result = self._progress(ready, output, number, line.send)
            with suppress(KeyError):
                poll.unregister(self._request)
            if self._pending:
                poll.register(self._request, select.POLLOUT)
            for fd in (self._result, self._out, self._err):
                if fd in ready and not ready[fd] & select.POLLIN:
                    poll.unregister(fd)  # closed by the code; its death or the deadline follows
        return result

    def _progress(
        self,
        ready: dict[int, int],
        output: Output,
        number: str,
        send: Callable[[dict[str, Any]], None],
    ) -> dict[str, Any] | None:
        """Take what has come; return the result where the run is over."""
        for stream, fd in ((1, self._out), (2, self._err)):
            if ready.get(fd, 0) & select.POLLIN:
                output.take(stream, _read(fd))
        if output.flooded:
            return stopped("output", "the code went on writing far over its limit")
        if ready.get(self._result, 0) & select.POLLIN:
            result = self._answer(number, output, send)
            if result is not None:
                return result
        if self.has_died() and self._status is not None:
            # Its last words may have come after this round's look at the pipe.
            return self._answer(number, output, send) or describe_death(self._status)
        return None

    def _answer(
        self, number: str, output: Output, send: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any] | None:
        """Return the interpreter's answer, None where it is not complete yet; forward its calls."""
        try:
            frames = list(self._reader.feed(_read(self._result)))
        except FrameError:
            return stopped("violation", _FORGED)
        if not frames:
            return None
        if len(frames) > 1 or frames[0].get("run") != number or self._calling:
            return stopped("violation", _FORGED)
        if "call" in frames[0]:
            self.drain(output)  # what was printed before a call is seen before it
            self._calling = True
            send({"type": "call", **{key: frames[0].get(key) for key in _OF_CALL}})
            return None
        result = {key: frames[0].get(key) for key in _FROM_CHILD}
        if result["exit"] not in {"ok", "error", "memory", "violation"}:
            return stopped("violation", _FORGED)
        return result


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 1 << 16)
    except BlockingIOError:
        return b""


def _write(fd: int, data: bytes) -> int:
    try:
        return os.write(fd, data)
    except (BlockingIOError, BrokenPipeError):
        return 0
