"""Two clocks at once: the time of day, which people set, and the time since boot, which nobody can.

A time limit is kept by both: the time of day carries it over a restart of the machine, the time
since boot still runs forward where somebody sets the time of day back.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Clock", "Instant", "system_clock"]


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment. ``wall_ms``: milliseconds since 1970; ``uptime_ms``: since the machine started,
    sleep included.
    """

    wall_ms: int
    uptime_ms: int


Clock = Callable[[], Instant]


def system_clock() -> Instant:
    """Return this machine's present moment."""
    # Linux stops CLOCK_MONOTONIC while the machine sleeps; macOS does not.
    uptime = time.CLOCK_BOOTTIME if sys.platform == "linux" else time.CLOCK_MONOTONIC
    return Instant(time.time_ns() // 1_000_000, time.clock_gettime_ns(uptime) // 1_000_000)
