"""Process 1 of the container: takes requests from outside, runs them in a child, watches it.

What is covered: user code holds none of the container's own streams, and cannot reach this
process: it is not dumpable, so /proc hides its memory and descriptors from its own user, and as
process 1 it cannot be killed from inside. A run that exceeds its time or floods its output is
killed with everything it started; a finished run keeps its interpreter and no other process.
What is not covered: a run deceiving itself. Code may write any value it likes as its own result.
Imports nothing but the standard library and the files beside it.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import time
from contextlib import suppress
from importlib import import_module
from typing import Any

from agentkit.sandbox.docker.child import Child, Output
from agentkit.sandbox.docker.interpreter import WORK_DIRECTORY, set_dumpable
from agentkit.sandbox.docker.line import Line
from agentkit.sandbox.docker.outlet import Outlet
from agentkit.sandbox.docker.processes import data_bytes, living, oom_kills, standing, state
from agentkit.sandbox.docker.workspace import changed_files, file_states, wipe, write_files

__all__ = ["main"]

_SETTLE_S = 2.0
_SCRATCH = (WORK_DIRECTORY, "/tmp", "/dev/shm")  # noqa: S108  the container's own tmpfs mounts


class _Runner:
    """Serves requests; keeps one interpreter ready."""

    def __init__(self, line: Line, memory_bytes: int) -> None:
        self._line = line
        self._memory_bytes = memory_bytes
        self._modes = {path: stat.S_IMODE(os.stat(path).st_mode) for path in _SCRATCH}  # noqa: PTH116  pathlib is not loaded here
        self._standing = standing()
        self._child = Child(memory_bytes)

    def reset(self) -> None:
        """Forget everything: processes, files, state. What cannot be wiped ends the container, and
        so does code that has changed what this process gives to each interpreter.
        """
        self._kill_everything()
        if standing() != self._standing:
            os._exit(1)
        for directory, mode in self._modes.items():
            wipe(directory, mode)
        self._replace_child()
        self._line.send({"type": "reset"})

    def run(self, asked: dict[str, Any]) -> None:
        """Run one cell and send its result."""
        deadline = time.monotonic() + asked["timeout_s"]
        died_idle = self._child.has_died()
        if died_idle:
            self._kill_everything()
            self._replace_child()
        output = Output(asked["output_bytes"], asked["flood_bytes"], self._line.send)
        kills_before = oom_kills()
        try:
            write_files(WORK_DIRECTORY, asked["files"])
        except OSError as error:
            text = f"a file given cannot be written: {error}"
            self._line.send({"type": "result", "exit": "error", "error": text})
            return
        before = file_states(WORK_DIRECTORY)
        result = self._child.execute(asked, output, deadline, self._line)
        alive = result["exit"] in {"ok", "error", "memory"} and self._settle()
        if not alive:
            self._kill_everything()
        self._child.drain(output)
        if alive:
            files, left_out = changed_files(
                WORK_DIRECTORY, before, asked["file_bytes"], asked["file_count"]
            )
            result.update(artifacts=files, dropped_files=left_out)
            os.kill(self._child.pid, signal.SIGCONT)
        if died_idle or not alive:
            result["state_lost"] = True
        if oom_kills() > kills_before and result["exit"] in {"error", "lost"}:
            result.update(exit="memory", error="the container's memory was exhausted")
        self._line.send({**result, "type": "result", "dropped_output": output.dropped})
        if not alive:
            self._replace_child()

    def _replace_child(self) -> None:
        self._child.close()
        self._child = Child(self._memory_bytes)

    def _settle(self) -> bool:
        """Stop the interpreter and end every other process; false where that does not work."""
        os.kill(self._child.pid, signal.SIGSTOP)
        with suppress(ChildProcessError):  # stopped or dead, whichever comes, without a pause
            os.waitid(os.P_PID, self._child.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        until = time.monotonic() + _SETTLE_S
        while time.monotonic() < until:
            others = [pid for pid in living() if pid not in {1, self._child.pid}]
            for pid in others:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if self._child.has_died():
                return False
            if not others and state(self._child.pid) in "Tt":
                return True
            time.sleep(0.0002)
        return False

    def _kill_everything(self) -> None:
        """Kill every process but this one, and wait until none is left."""
        until = time.monotonic() + _SETTLE_S
        while True:
            with suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
            self._child.has_died()
            if self._line.outlet is not None:
                self._line.outlet.close_all()
            if all(pid == 1 for pid in living()):
                return
            if time.monotonic() > until:
                os._exit(1)  # with process 1, the kernel ends them all
            time.sleep(0.001)


def _take_no_signals() -> None:
    """Leave no handler: what its own container sends to a process 1 without one never arrives."""
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)


def main() -> None:
    """Serve requests from standard input until it ends."""
    set_dumpable(dumpable=False)
    requests, replies = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    line = Line(requests, replies)
    runner: _Runner | None = None
    while line.read():
        for asked in line.taken():
            if runner is None:
                for name in asked["preload"]:
                    import_module(name)
                _take_no_signals()  # Python's own, and what a module may have added
                line.outlet = Outlet(line.send) if asked["egress"] else None
                runner = _Runner(line, asked["memory_bytes"] + data_bytes())
                line.send({"type": "ready", "python": sys.version.split()[0]})
            elif asked["op"] == "reset":
                runner.reset()
            elif asked["op"] == "run":
                runner.run(asked)


if __name__ == "__main__":
    main()
