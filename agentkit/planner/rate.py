"""Rate limits: at most so many calls of a tool in any 60 seconds."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["RateLimiter"]

_WINDOW_S = 60.0


class RateLimiter:
    """A sliding window for each tool. ``clock`` must be monotonic, in seconds."""

    def __init__(
        self, calls_per_minute: Mapping[str, int], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = dict(calls_per_minute)
        self._clock = clock
        self._taken: dict[str, deque[float]] = {name: deque() for name in self._limits}

    def take(self, tool: str) -> float:
        """Count one call and return 0, or count nothing and return the seconds to wait."""
        if tool not in self._limits:
            return 0.0
        taken, now = self._taken[tool], self._clock()
        while taken and now - taken[0] >= _WINDOW_S:
            taken.popleft()
        if len(taken) >= self._limits[tool]:
            return _WINDOW_S - (now - taken[0]) if taken else _WINDOW_S
        taken.append(now)
        return 0.0
