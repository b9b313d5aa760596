"""The worker process: holds the guest, talks frames over its standard input and output.

Started with an empty environment in a session of its own, it limits itself before it loads
anything: memory, file size, open files, no core dump, no further processes; it dies with its
parent. What is covered: whatever the guest does ends in a result frame or in the death of this
process, which its parent sees. What is not covered: CPU use by a parent that never stops asking.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import resource
import select
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NoReturn

from agentkit.sandbox.frames import FrameReader, encode_frame
from agentkit.sandbox.wasm.engine import Guest, Resident, Stopped, Walls, make_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["main"]

_ADDRESS_SPACE = 32 << 30  # wasmtime reserves 4 GiB of addresses for each memory it bounds
_OWN_MEMORY = 256 << 20
_OPEN_FILES = 32
_PR_SET_PDEATHSIG = 1
_REQUEST_BYTES = 1 << 31
_TICK_S = 0.02
_REST_S = 0.5  # after so long without a run the ticking thread sleeps until the next one
_SPARE_AFTER_S = 0.02  # the next interpreter is made once nobody has asked for so long
_FORGED = "the code broke its interpreter's own machinery"
_FOR_THE_GUEST = (
    "code", "files", "file_bytes", "file_count", "shown_room", "functions", "imports", "seed"
)  # fmt: skip
_NOTHING = json.dumps(
    {"code": "0", "files": {}, "file_bytes": 0, "file_count": 0, "shown_room": 0, "functions": {},
     "imports": None, "seed": None}
)  # fmt: skip


class _Output:
    """Counts and gathers what the guest writes; sent by the ticking thread and at the end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: list[tuple[int, str]] = []
        self._written = 0
        self._limit = 0
        self._flood = 0
        self.dropped = 0

    def begin(self, limit: int, flood: int) -> None:
        with self._lock:
            self._pending.clear()
            self._written = self.dropped = 0
            self._limit, self._flood = limit, flood

    def emit(self, stream: int, text: str) -> None:
        data = text.encode("utf-8", "replace")
        with self._lock:
            room = max(self._limit - self._written, 0)
            self._written += len(data)
            if room >= len(data):
                self._pending.append((stream, text))
            else:
                self.dropped += len(data) - room
                self._pending.append((stream, data[:room].decode("utf-8", "ignore")))
            flooding = self._written > self._flood
        if flooding:
            raise Stopped("output", f"the code wrote more than {self._flood} bytes")

    def flush(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, []
            for stream, text in _joined(pending):
                _send({"type": "output", "stream": stream, "text": text})


def _joined(pending: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Yield runs of the same stream as one text, in order."""
    texts: list[str] = []
    current = 0
    for stream, text in pending:
        if stream != current and texts:
            yield current, "".join(texts)
            texts = []
        current = stream
        texts.append(text)
    if texts:
        yield current, "".join(texts)


def _send(frame: dict[str, Any]) -> None:
    data = memoryview(encode_frame(frame))
    while data:
        data = data[os.write(1, data) :]


class _Requests:
    """Standard input, as messages."""

    def __init__(self) -> None:
        self._reader = FrameReader(_REQUEST_BYTES)
        self._waiting: list[dict[str, Any]] = []

    def next(self, deadline: float = float("inf")) -> dict[str, Any] | None:
        """Return the next message; None where the deadline passes first. Raises ``EOFError``."""
        while not self._waiting:
            if deadline < float("inf"):
                remaining = max(deadline - time.monotonic(), 0.0)
                if not select.select([0], [], [], remaining)[0]:
                    return None
            data = os.read(0, 1 << 16)
            if not data:
                raise EOFError
            self._waiting.extend(self._reader.feed(data))
        return self._waiting.pop(0)


class _Calls:
    """The worker's end of calls to functions of the host, within one run."""

    def __init__(self, requests: _Requests) -> None:
        self._requests = requests
        self._count = 0
        self._limit = 0

    def begin(self, limit: int) -> None:
        self._count, self._limit = 0, limit

    def call(self, name: str, arguments: str, deadline: float) -> str:
        """Ask the host and wait. Raises ``Stopped`` at the deadline."""
        if len(arguments) > self._limit or len(name) > self._limit:
            return json.dumps({"error": f"the arguments are over {self._limit} bytes"})
        self._count += 1
        _send({"type": "call", "call": self._count, "name": name, "arguments": arguments})
        while answer := self._requests.next(deadline):
            if answer.get("op") == "answer" and answer.get("call") == self._count:
                return json.dumps({key: answer[key] for key in ("value", "error") if key in answer})
        raise Stopped("timeout", "the time was over while a function of the host worked")


def _die_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _limit_self(memory_bytes: int) -> None:
    """Bound this process. Two instances may exist at once, the one in use and its successor."""
    wanted = {
        resource.RLIMIT_AS: _ADDRESS_SPACE,
        resource.RLIMIT_DATA: 2 * memory_bytes + _OWN_MEMORY,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in wanted.items():
        # macOS refuses some of these; the engine's own limits stand all the same
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))


class _CpuLimit:
    """Bounds this process's CPU time, run by run, a few seconds over what a run may take."""

    def __init__(self) -> None:
        self._seconds = 0

    def allow(self, used_s: float, timeout_s: float) -> None:
        """Let a run of ``timeout_s`` begin, ``used_s`` having been used before it."""
        seconds = int(used_s + timeout_s) + 3
        if seconds == self._seconds:
            return
        self._seconds = seconds
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))


class _Worker:
    def __init__(
        self, path: str, sha256: str, memory_bytes: int, seed: int | None, requests: _Requests
    ) -> None:
        import wasmtime.component  # noqa: PLC0415  after the limits are set

        self._memory_bytes = memory_bytes
        self._resident = Resident()
        self._cpu = _CpuLimit()
        self._clock = threading.Lock()
        self._awake = threading.Event()
        self._rest_at = 0.0
        self._engine = make_engine()
        with open(path, "rb") as file:  # noqa: PTH123  the descriptor is what is loaded below
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise ValueError("the compiled guest is not the one that was built")
            linux = sys.platform == "linux"
            loaded = f"/proc/self/fd/{file.fileno()}" if linux else path
            self._component = wasmtime.component.Component.deserialize_file(self._engine, loaded)
        self.output = _Output()
        self._calls = _Calls(requests)
        self._walls = Walls(self.output.emit, self._call, seed)
        self._linker = self._walls.link(self._engine, self._component)
        self._guest = self._new_guest()
        self._spare: Guest | None = None
        self._walls.use_random(self._guest.random)

    @property
    def python_version(self) -> str:
        return self._guest.python_version

    def _new_guest(self) -> Guest:
        source = self._walls.new_random()
        self._walls.use_random(source)
        guest = Guest(
            self._engine, self._linker, self._component, self._memory_bytes, self._resident,
            source=source,
        )  # fmt: skip
        guest.warm_up(_NOTHING)
        return guest

    def _call(self, name: str, arguments: str) -> str:
        self.output.flush()  # what was printed before a call is seen before it
        return self._calls.call(name, arguments, self._walls.deadline)

    def reset(self) -> None:
        """Go to a fresh interpreter, the spare one where it is ready."""
        self._guest.close()
        self._guest = self._spare or self._new_guest()
        self._walls.use_random(self._guest.random)
        self._spare = None

    def tick(self) -> None:
        """End the run that is going on if its time is over. Called by the ticking thread, which
        waits here while there is no run.
        """
        self._awake.wait()
        with self._clock:
            now = time.monotonic()
            if now >= self._walls.deadline:
                self._engine.increment_epoch()
            elif now >= self._rest_at:
                self._awake.clear()

    def _set_deadline(self, deadline: float) -> None:
        with self._clock:  # or a tick meant for the last run would end this one
            self._walls.deadline = deadline
            if deadline < float("inf"):
                self._rest_at = float("inf")
                self._guest.arm()
            else:
                self._rest_at = time.monotonic() + _REST_S
        if not self._awake.is_set():
            self._awake.set()

    @property
    def has_spare(self) -> bool:
        """Whether the next interpreter is ready."""
        return self._spare is not None

    def prepare_spare(self) -> None:
        """Make the next interpreter, while nobody waits."""
        self._spare = self._new_guest()
        self._walls.use_random(self._guest.random)

    def run(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Run one cell and return its result frame."""
        timeout_s = float(asked["timeout_s"])
        before = resource.getrusage(resource.RUSAGE_SELF)
        used_s = before.ru_utime + before.ru_stime
        self._cpu.allow(used_s, timeout_s)
        self.output.begin(int(asked["output_bytes"]), int(asked["flood_bytes"]))
        self._calls.begin(int(asked["call_bytes"]))
        self._walls.begin_run(asked["seed"], asked["now"])
        self._set_deadline(time.monotonic() + timeout_s)
        wanted = {key: asked[key] for key in _FOR_THE_GUEST}
        try:
            reply = self._guest.run(json.dumps(wanted))
            result = self._checked(reply, int(asked["reply_bytes"]), asked["file_count"])
        except Stopped as stop:
            self.reset()
            result = {"exit": stop.reason, "error": stop.message, "state_lost": True}
        finally:
            self._set_deadline(float("inf"))
            self._walls.end_run(asked["seed"])
        after = resource.getrusage(resource.RUSAGE_SELF)
        self.output.flush()
        return {
            **result,
            "type": "result",
            "dropped_output": self.output.dropped,
            "cpu_s": after.ru_utime + after.ru_stime - used_s,
            "peak_memory_bytes": after.ru_maxrss * (1024 if sys.platform == "linux" else 1),
        }

    @staticmethod
    def _checked(reply: str, reply_bytes: int, file_count: int) -> dict[str, Any]:
        """Parse the guest's reply, which the code may have forged in any way it likes."""
        if len(reply) > reply_bytes:
            raise Stopped("output", f"the code's answer has {len(reply)} bytes")
        try:
            result = json.loads(reply)
        except (ValueError, RecursionError):
            result = None
        if not isinstance(result, dict) or result.get("exit") not in {"ok", "error", "memory"}:
            raise Stopped("violation", _FORGED)
        files = result.get("artifacts")
        if not isinstance(files, dict) or len(files) > file_count:
            raise Stopped("violation", _FORGED)
        return result


def _tick(worker: _Worker, parent: int) -> None:
    """While a run goes on: drive the epochs, send output as it comes, end with the parent."""
    while True:
        time.sleep(_TICK_S)
        worker.tick()
        worker.output.flush()
        if os.getppid() != parent:
            os._exit(0)


def main(path: str, sha256: str, memory_bytes: str, parent: str, seed: str) -> None:
    """Serve requests from standard input until it ends."""
    _die_with_parent(int(parent))
    _limit_self(int(memory_bytes))
    requests = _Requests()
    try:
        worker = _Worker(path, sha256, int(memory_bytes), int(seed) if seed else None, requests)
    except Exception as error:  # noqa: BLE001  told to the parent, which raises it
        _send({"type": "fatal", "error": f"{type(error).__name__}: {error}"[:2000]})
        return
    threading.Thread(target=_tick, args=(worker, int(parent)), daemon=True).start()
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))  # all threads there will be exist now
    _send({"type": "ready", "python": worker.python_version})
    with contextlib.suppress(EOFError):
        _serve(worker, requests)


def _serve(worker: _Worker, requests: _Requests) -> NoReturn:
    """Do what is asked. Raises ``EOFError`` where the host has hung up."""
    used = False
    while True:
        idle_at = (
            float("inf") if worker.has_spare or not used else time.monotonic() + _SPARE_AFTER_S
        )
        asked = requests.next(idle_at)
        if asked is None:
            worker.prepare_spare()
        elif asked["op"] == "reset":
            worker.reset()
            _send({"type": "reset"})
        elif asked["op"] == "run":
            _send(worker.run(asked))
            used = True
