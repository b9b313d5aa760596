"""How long steps report where they are."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Progress", "silent"]


class Progress(Protocol):
    """Called as a step advances; a face draws it."""

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        """Note that ``stage`` has done ``done`` of ``total`` in a unit of its own (bytes, files);
        ``total`` is 0 where unknown, and ``done`` equals ``total`` at the end.
        """


def silent(_stage: str, _done: int, _total: int, /) -> None:
    """Report nothing."""
