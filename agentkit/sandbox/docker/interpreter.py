"""The process that user code runs in, a fork of the runner; inside the container.

It holds no end of the container's own streams. What it answers on its pipe is taken by the runner
as written by the code. Imports nothing but the standard library and the two files beside it.
"""

from __future__ import annotations

import ctypes
import io
import os
import random
import resource
import signal
import sys
import threading
from contextlib import suppress
from typing import Any, NoReturn

from agentkit.sandbox.bindings import bind, restrict_imports, unbind
from agentkit.sandbox.cell import evaluate, fresh_namespace
from agentkit.sandbox.display import figures, shown
from agentkit.sandbox.frames import FrameReader, encode_frame

__all__ = ["WORK_DIRECTORY", "become_interpreter", "set_dumpable"]

WORK_DIRECTORY = "/work"
_PR_SET_DUMPABLE = 4
_REQUEST, _RESULT, _OUT, _ERR, _FIRST_FREE = 10, 11, 12, 13, 14
_MAX_FD = 4096
_CODE_BYTES = 16 << 20


def set_dumpable(*, dumpable: bool) -> None:
    """Say whether processes of the same user may look into this one through /proc."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, int(dumpable), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) failed")


def become_interpreter(
    request: int, result: int, out: int, err: int, memory_bytes: int
) -> NoReturn:
    """Turn this fresh fork into an interpreter that serves cells until its runner is gone."""
    try:
        _take_descriptors(request, result, out, err)
        _limit_self(memory_bytes)
        set_dumpable(dumpable=True)  # the code may look at itself
        os.chdir(WORK_DIRECTORY)
        sys.path[0] = ""
        sys.argv = [""]
        _seed_afresh()
        _serve()
    finally:
        os._exit(0)


def _take_descriptors(request: int, result: int, out: int, err: int) -> None:
    """Keep four pipes at known numbers and close everything else, the runner's streams first."""
    os.setsid()
    moved = [os.dup(fd) for fd in (request, result, out, err)]
    high = [_move_up(fd) for fd in moved]
    os.closerange(3, high[0])
    for fd, target in zip(high, (_REQUEST, _RESULT, _OUT, _ERR), strict=True):
        os.dup2(fd, target, inheritable=False)
    os.closerange(_FIRST_FREE, _MAX_FD)


def _move_up(fd: int) -> int:
    import fcntl  # noqa: PLC0415  here alone

    return fcntl.fcntl(fd, fcntl.F_DUPFD, 64)


def _limit_self(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # when the container runs full, this one dies and not the runner
        score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(score, b"1000")
        os.close(score)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)


def _standard_streams() -> None:
    """Give each cell its streams anew, whatever the last one did to them."""
    os.dup2(_OUT, 1)
    os.dup2(_ERR, 2)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    sys.stdout, sys.stderr = _writer(1), _writer(2)


def _writer(fd: int) -> io.TextIOWrapper:
    # Unbuffered, like python -u: what was printed before a kill must have left the process.
    raw: Any = io.FileIO(fd, "w", closefd=False)
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True)


class _Channel:
    """The two pipes to the runner, for one cell after the other."""

    def __init__(self) -> None:
        self._reader = FrameReader(_CODE_BYTES)
        self._waiting: list[dict[str, Any]] = []
        self._calling = threading.Lock()
        self._calls = 0
        self._limit = 0
        self._run = ""

    def begin(self, asked: dict[str, Any]) -> None:
        self._calls, self._limit, self._run = 0, asked["call_bytes"], asked["run"]

    def receive(self) -> dict[str, Any] | None:
        """Return the next message; None where the runner is gone."""
        while not self._waiting:
            data = os.read(_REQUEST, 1 << 16)
            if not data:
                return None
            self._waiting.extend(self._reader.feed(data))
        return self._waiting.pop(0)

    def send(self, message: dict[str, Any]) -> None:
        frame = memoryview(encode_frame({**message, "run": self._run}))
        while frame:
            frame = frame[os.write(_RESULT, frame) :]

    def call(self, name: str, arguments: str) -> dict[str, Any]:
        """Call a function of the host, one at a time, and wait for its answer."""
        if len(arguments) > self._limit:
            return {"error": f"the arguments are over {self._limit} bytes"}
        with self._calling:
            self._calls += 1
            self.send({"call": self._calls, "name": name, "arguments": arguments})
            answer = self.receive()
            if answer is None:
                os._exit(0)
            return answer

    def violate(self, what: str) -> NoReturn:
        """End this process, and with it the run, as a violation."""
        self.send({"exit": "violation", "error": what, "state_lost": True})
        os._exit(0)


def _seed(seed: int) -> None:
    random.seed(seed)
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed(seed % (1 << 32))


def _seed_afresh() -> None:
    """Give this fork random numbers of its own; ``random`` does so by itself."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:  # preloaded, and so the same in each fork
        numpy_random.seed()


def _serve() -> None:
    own_pid = os.getpid()
    namespace = fresh_namespace()
    channel = _Channel()
    restricted = False
    while asked := channel.receive():
        before = resource.getrusage(resource.RUSAGE_SELF)
        _standard_streams()
        channel.begin(asked)
        if asked["seed"] is not None:
            _seed(asked["seed"])
        if asked["imports"] is not None and not restricted:
            restrict_imports(asked["imports"], channel.violate)
            restricted = True
        bind(namespace, asked["functions"], channel.call)
        outcome = evaluate(asked["code"], namespace, shown, figures, asked["shown_room"])
        unbind(namespace, asked["functions"])
        if os.getpid() != own_pid:
            os._exit(0)  # the code forked; its copy of this loop ends here
        after = resource.getrusage(resource.RUSAGE_SELF)
        outcome["cpu_s"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        outcome["peak_memory_bytes"] = after.ru_maxrss * 1024
        channel.send(outcome)
