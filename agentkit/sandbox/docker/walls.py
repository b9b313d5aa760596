"""The walls of a container, as options of the engine. This is the page to audit.

What is covered: no network but the container's own loopback, user 65534 without one capability,
no new privileges, a seccomp allowlist (see ``seccomp.json``) tighter than Docker's, a read-only
root, small tmpfs mounts without programs or devices, its own view of processes, control groups and
shared memory, limits on processes, memory (no swap), processor, file size, open files, queued
signals and locked memory, nothing of the host mounted.
What is not covered: a flaw of the kernel. Use ``runtime="runsc"`` where that is too little.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker.types

if TYPE_CHECKING:
    from agentkit.sandbox.interface import Limits

__all__ = ["USER", "host_options"]

USER = "65534:65534"
_SECCOMP = Path(__file__).parent / "seccomp.json"
_RUNNER_MIB = 48
_PRELOAD_MIB = 384
_SCRATCH_MIB = 16
_CPU_PERIOD_US = 100_000
_RESOURCES = {"nofile": 256, "core": 0, "sigpending": 1024, "msgqueue": 0, "memlock": 0}
# A message queue made here would outlive a reset, so nothing can be made.
_NO_QUEUES = "ro,noexec,nosuid,nodev,size=4096,nr_inodes=1"


def host_options(
    limits: Limits, cpus: float, runtime: str | None, *, preload: bool = False
) -> dict[str, Any]:
    """Return the walls around a container for ``limits``.

    ``cpus``: in processors. ``preload``: whether modules are loaded beside the limits' memory.
    """
    work_bytes = 2 * limits.file_bytes
    scratch_bytes = _SCRATCH_MIB << 20
    # What lies in a tmpfs counts as the container's memory.
    runner_mib = _RUNNER_MIB + (_PRELOAD_MIB if preload else 0)
    memory = ((limits.memory_mib + runner_mib) << 20) + work_bytes + 2 * scratch_bytes
    resources = {**_RESOURCES, "fsize": limits.file_bytes}
    return {
        "network_mode": "none",
        "cap_drop": ["ALL"],
        "privileged": False,
        "security_opt": [
            "no-new-privileges:true",
            f"seccomp={_SECCOMP.read_text(encoding='utf-8')}",
        ],
        "read_only": True,
        "tmpfs": {
            "/work": _tmpfs(work_bytes),
            "/tmp": _tmpfs(scratch_bytes),  # noqa: S108  the container's own
            "/dev/mqueue": _NO_QUEUES,
        },
        "shm_size": scratch_bytes,
        "ipc_mode": "private",
        "cgroupns": "private",
        "pids_limit": limits.processes + 2,  # the runner and its interpreter
        "mem_limit": memory,
        "memswap_limit": memory,
        "cpu_period": _CPU_PERIOD_US,
        "cpu_quota": int(cpus * _CPU_PERIOD_US),
        "ulimits": [
            docker.types.Ulimit(name=name, soft=value, hard=value)
            for name, value in resources.items()
        ],
        # The runner is process 1 itself, not docker-init: an init of the same user could be read
        # through /proc by the code, and it holds the container's streams.
        "init": False,
        "auto_remove": True,
        "log_config": docker.types.LogConfig(type="none"),
        "runtime": runtime,
    }


def _tmpfs(size_bytes: int) -> str:
    return f"rw,noexec,nosuid,nodev,size={size_bytes},nr_inodes=4096,mode=0700,uid=65534,gid=65534"
