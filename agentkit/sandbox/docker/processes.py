"""What the runner asks the kernel about the container's processes; inside the container."""

from __future__ import annotations

import os
import resource
import signal
from contextlib import suppress
from typing import Any

__all__ = ["data_bytes", "describe_death", "living", "oom_kills", "standing", "state", "stopped"]

_LIMITS = range(16)  # all that Linux has; Python names them but for one
_OOM_COUNTERS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")


def stopped(reason: str, error: str) -> dict[str, Any]:
    """Return the result of a run that was ended from outside of the code."""
    return {"exit": reason, "error": error, "state_lost": True}


def living() -> list[int]:
    """Return the ids of all processes of the container that are not zombies."""
    return [
        int(name)
        for name in os.listdir("/proc")  # noqa: PTH208  pathlib is not loaded in the runner
        if name.isdigit() and state(int(name)) not in "ZX"
    ]


def state(pid: int) -> str:
    """Return the state letter of a process, ``X`` where there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123  see living
            return file.read().rpartition(b")")[2].split()[0].decode("ascii")
    except (OSError, IndexError):
        return "X"


def standing() -> tuple[object, ...]:
    """Return what an interpreter inherits of this process: its limits, priority and processors."""
    limits = [resource.getrlimit(kind) for kind in _LIMITS]
    return (limits, os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0))


def data_bytes() -> int:
    """Return the size of this process' own data, as ``RLIMIT_DATA`` counts it; 0 if unknown."""
    with suppress(OSError, ValueError), open("/proc/self/status", encoding="ascii") as file:  # noqa: PTH123  see living
        for line in file:
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return 0


def oom_kills() -> int:
    """Return how often the kernel killed in this container for memory; 0 where it does not say."""
    for path in _OOM_COUNTERS:
        with suppress(OSError, ValueError), open(path, encoding="ascii") as file:  # noqa: PTH123  see living
            for line in file:
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
    return 0


def describe_death(status: int) -> dict[str, Any]:
    """Return the result of a run whose interpreter died by itself; ``status`` is waitpid's."""
    if os.WIFEXITED(status):
        code = os.WEXITSTATUS(status)
        return stopped("lost", f"the code ended its own interpreter (exit status {code})")
    number = os.WTERMSIG(status)
    if number == signal.SIGSYS:
        return stopped("violation", "the code made a system call that the walls forbid")
    if number == signal.SIGXCPU:
        return stopped("timeout", "the processor time was over")
    known = number in {one.value for one in signal.Signals}  # most realtime signals have no name
    name = signal.Signals(number).name if known else f"signal {number}"
    return stopped("lost", f"the interpreter was ended by {name}")
