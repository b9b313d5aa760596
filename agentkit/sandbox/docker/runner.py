"""Process 1 of the container: takes requests from outside, runs them in a child, watches it.

What is covered: user code holds none of the container's own streams, and cannot reach this
process: it is not dumpable, so /proc hides its memory and descriptors from its own user, and as
process 1 it cannot be killed from inside. A run that exceeds its time or floods its output is
killed with everything it started; a finished run keeps its interpreter and nothing else. The
child's answers carry the run's own number, so a stale or invented one is seen.
What is not covered: a run deceiving itself. Code may write any value it likes as its own result.
Imports nothing but the standard library and the files beside it.
"""

from __future__ import annotations

import codecs
import os
import select
import signal
import sys
import time
from contextlib import suppress
from typing import Any

from agentkit.sandbox.docker.interpreter import WORK_DIRECTORY, become_interpreter, set_dumpable
from agentkit.sandbox.docker.workspace import changed_files, file_states, wipe, write_files
from agentkit.sandbox.frames import FrameError, FrameReader, encode_frame

__all__ = ["main"]

_POLL_S = 0.05
_SETTLE_S = 2.0
_REPLY_BYTES = 4 << 20
_REQUEST_BYTES = 1 << 31
_SCRATCH = (WORK_DIRECTORY, "/tmp", "/dev/shm")  # noqa: S108  the container's own tmpfs mounts


class _Child:
    """One interpreter and the four pipes to it."""

    def __init__(self, memory_bytes: int) -> None:
        request, self.request = os.pipe()
        self.result, result = os.pipe()
        self.out, out = os.pipe()
        self.err, err = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            become_interpreter(request, result, out, err, memory_bytes)
        for fd in (request, result, out, err):
            os.close(fd)
        for fd in (self.request, self.result, self.out, self.err):
            os.set_blocking(fd, False)
        self.reader = FrameReader(_REPLY_BYTES)
        self.status: int | None = None

    def reap(self) -> None:
        """Collect every dead process; remember the status if the child is among them."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self.pid:
                    self.status = status

    def close(self) -> None:
        for fd in (self.request, self.result, self.out, self.err):
            os.close(fd)


class _Output:
    """Forwards one run's output up to its limit and counts the rest."""

    def __init__(self, limit: int, flood: int, send: Any) -> None:  # noqa: ANN401  a function
        self._room, self._flood, self._send = limit, flood, send
        self._decoders = {
            stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in (1, 2)
        }
        self._written = 0
        self.dropped = 0

    @property
    def flooded(self) -> bool:
        return self._written > self._flood

    def take(self, stream: int, data: bytes) -> None:
        self._written += len(data)
        kept = data[: self._room]
        self._room -= len(kept)
        self.dropped += len(data) - len(kept)
        text = self._decoders[stream].decode(kept)
        if text:
            self._send({"type": "output", "stream": stream, "text": text})


class _Runner:
    def __init__(self, requests: int, replies: int, memory_bytes: int) -> None:
        self._requests = requests
        self._replies = replies
        self._memory_bytes = memory_bytes
        self._child: _Child | None = None

    def send(self, frame: dict[str, Any]) -> None:
        data = memoryview(encode_frame(frame))
        while data:
            data = data[os.write(self._replies, data) :]

    def prepare(self) -> _Child:
        """Have an interpreter ready."""
        if self._child is None:
            self._child = _Child(self._memory_bytes)
        return self._child

    def reset(self) -> None:
        """Forget everything: processes, files, state. What cannot be wiped ends the container."""
        self._kill_everything()
        for directory in _SCRATCH:
            wipe(directory)
        self.prepare()
        self.send({"type": "reset"})

    def run(self, asked: dict[str, Any]) -> None:
        """Run one cell and send its result."""
        deadline = time.monotonic() + asked["timeout_s"]
        child = self.prepare()
        output = _Output(asked["output_bytes"], asked["flood_bytes"], self.send)
        out_of_memory_before = _oom_kills()
        try:
            write_files(WORK_DIRECTORY, asked["files"])
        except OSError as error:
            self.send(
                {**_stopped("error", f"a file given cannot be written: {error}"), "type": "result"}
            )
            return
        before = file_states(WORK_DIRECTORY)
        number = os.urandom(8).hex()
        result = self._await_result(
            child, encode_frame({"code": asked["code"], "run": number}), number, output, deadline
        )
        if result["exit"] in {"ok", "error", "memory"} and self._settle(child):
            _drain(child, output)
            files, left_out = changed_files(WORK_DIRECTORY, before, asked["file_bytes"])
            result.update(artifacts=files, dropped_files=left_out)
            os.kill(child.pid, signal.SIGCONT)
        else:
            _drain(child, output)
            self._kill_everything()
            _drain(child, output)
            result["state_lost"] = True
        if _oom_kills() > out_of_memory_before and result["exit"] in {"error", "lost"}:
            result.update(exit="memory", error="the container's memory was exhausted")
        self.send({**result, "type": "result", "dropped_output": output.dropped})
        self.prepare()

    def _await_result(
        self, child: _Child, request: bytes, number: str, output: _Output, deadline: float
    ) -> dict[str, Any]:
        poll = select.poll()
        poll.register(self._requests, 0)  # a hang-up is always reported: whoever asked is gone
        for fd in (child.result, child.out, child.err):
            poll.register(fd, select.POLLIN)
        poll.register(child.request, select.POLLOUT)
        while True:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return _stopped("timeout", "the time was over")
            ready = dict(poll.poll(min(remaining, _POLL_S) * 1000))
            if self._requests in ready:
                os._exit(0)
            if child.request in ready:
                request = request[_write_some(child.request, request) :]
                if not request:
                    poll.unregister(child.request)
            for stream, fd in ((1, child.out), (2, child.err)):
                if ready.get(fd, 0) & select.POLLIN:
                    output.take(stream, _read_some(fd))
            if output.flooded:
                return _stopped("output", "the code went on writing far over its limit")
            if ready.get(child.result, 0) & select.POLLIN:
                result = _result(child, number)
                if result is not None:
                    return result
            child.reap()
            if child.status is not None:
                return _death(child.status)
            for fd in (child.result, child.out, child.err):
                if fd in ready and not ready[fd] & select.POLLIN:
                    poll.unregister(fd)  # closed by the code; its death or the deadline follows

    def _settle(self, child: _Child) -> bool:
        """Stop the interpreter and end every other process; false where that does not work."""
        os.kill(child.pid, signal.SIGSTOP)
        until = time.monotonic() + _SETTLE_S
        while time.monotonic() < until:
            others = [pid for pid in _living() if pid not in {1, child.pid}]
            for pid in others:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            child.reap()
            if child.status is not None:
                return False
            if not others and _state(child.pid) in "Tt":
                return True
            time.sleep(0.0002)
        return False

    def _kill_everything(self) -> None:
        """Kill every process but this one, and wait until none is left."""
        child, self._child = self._child, None
        if child is None:
            return
        until = time.monotonic() + _SETTLE_S
        while True:
            with suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
            child.reap()
            if all(pid == 1 for pid in _living()):
                break
            if time.monotonic() > until:
                os._exit(1)  # with process 1, the kernel ends them all
            time.sleep(0.001)
        child.close()


def _stopped(reason: str, error: str) -> dict[str, Any]:
    return {"exit": reason, "error": error}


def _result(child: _Child, number: str) -> dict[str, Any] | None:
    """Return the child's answer, None where it is not complete yet."""
    try:
        frames = list(child.reader.feed(_read_some(child.result)))
    except FrameError:
        return _stopped("violation", "the code wrote into its interpreter's own channel")
    if not frames:
        return None
    if len(frames) > 1 or frames[0].get("run") != number:
        return _stopped("violation", "the code wrote into its interpreter's own channel")
    allowed = ("exit", "value", "error", "state_lost", "cpu_s", "peak_memory_bytes")
    result = {key: frames[0].get(key) for key in allowed}
    if result["exit"] not in {"ok", "error", "memory"}:
        return _stopped("violation", "the code broke its interpreter's own machinery")
    return result


def _death(status: int) -> dict[str, Any]:
    """Describe how the interpreter died by itself."""
    if os.WIFEXITED(status):
        code = os.WEXITSTATUS(status)
        return _stopped("lost", f"the code ended its own interpreter (exit status {code})")
    number = os.WTERMSIG(status)
    if number == signal.SIGSYS:
        return _stopped("violation", "the code made a system call that the walls forbid")
    if number == signal.SIGXCPU:
        return _stopped("timeout", "the processor time was over")
    return _stopped("lost", f"the interpreter was ended by {signal.Signals(number).name}")


def _drain(child: _Child, output: _Output) -> None:
    for stream, fd in ((1, child.out), (2, child.err)):
        with suppress(OSError):
            while (data := _read_some(fd)) and not output.flooded:
                output.take(stream, data)


def _read_some(fd: int) -> bytes:
    try:
        return os.read(fd, 1 << 16)
    except BlockingIOError:
        return b""


def _write_some(fd: int, data: bytes) -> int:
    try:
        return os.write(fd, data)
    except (BlockingIOError, BrokenPipeError):
        return 0


def _living() -> list[int]:
    """Return the ids of all processes of the container that are not zombies."""
    return [
        int(name)
        for name in os.listdir("/proc")  # noqa: PTH208  pathlib is not loaded in the runner
        if name.isdigit() and _state(int(name)) not in "ZX"
    ]


def _state(pid: int) -> str:
    """Return the state letter of a process, ``X`` where there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123  see _living
            return file.read().rpartition(b")")[2].split()[0].decode("ascii")
    except (OSError, IndexError):
        return "X"


def _oom_kills() -> int:
    """Return how often the kernel killed in this container for memory; 0 where it does not say."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        with suppress(OSError, ValueError), open(path, encoding="ascii") as file:  # noqa: PTH123  see _living
            for line in file:
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
    return 0


def main() -> None:
    """Serve requests from standard input until it ends."""
    set_dumpable(dumpable=False)
    requests, replies = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    reader = FrameReader(_REQUEST_BYTES)
    runner: _Runner | None = None
    while data := os.read(requests, 1 << 16):
        for asked in reader.feed(data):
            if runner is None:
                runner = _Runner(requests, replies, asked["memory_bytes"])
                runner.prepare()
                runner.send({"type": "ready", "python": sys.version.split()[0]})
            elif asked["op"] == "reset":
                runner.reset()
            else:
                runner.run(asked)


if __name__ == "__main__":
    main()
