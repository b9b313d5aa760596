"""What this machine has: memory that may be used, and how fast it is read."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Machine", "look_at_machine"]

_PROBE_BYTES = 256 << 20
_PROBE_S = 1.5
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True, slots=True)
class Machine:
    """``memory``: bytes of this machine, or of the container around. ``bandwidth``: bytes a second
    that all cores read together, None where it was not measured (torch is missing).
    """

    memory: int
    bandwidth: float | None


def look_at_machine() -> Machine:
    """Measure; takes two seconds at most."""
    return Machine(_memory(), _bandwidth())


def _memory() -> int:
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in _LIMITS:
        try:
            limit = Path(path).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if limit.isdigit():
            installed = min(installed, int(limit))
    return installed


def _bandwidth() -> float | None:
    """Read a buffer far larger than the caches again and again; the best pass counts."""
    try:
        import torch  # noqa: PLC0415 - of the local extra

        from agentkit.model.kernels.dispatch import library  # noqa: PLC0415 - needs torch
    except ModuleNotFoundError:
        return None
    begun = time.perf_counter()
    data = torch.ones(_PROBE_BYTES // 8, dtype=torch.int64)
    kernel, best = library(), 0.0
    while time.perf_counter() - begun < _PROBE_S:
        start = time.perf_counter()
        if kernel is not None:
            kernel.read(data)
        else:
            data.sum()
        best = max(best, data.nbytes / (time.perf_counter() - start))
    return best or None
