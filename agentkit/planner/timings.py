"""Where a turn's time goes, by room."""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Timings"]


class Timings:
    """Seconds spent in each room of one turn; every visit is kept."""

    def __init__(self) -> None:
        self._visits: defaultdict[str, list[float]] = defaultdict(list)

    @contextmanager
    def room(self, name: str) -> Iterator[None]:
        """Time one visit."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._visits[name].append(time.perf_counter() - start)

    @property
    def visits(self) -> Mapping[str, tuple[float, ...]]:
        """Seconds of each visit by room."""
        return {name: tuple(seconds) for name, seconds in self._visits.items()}
