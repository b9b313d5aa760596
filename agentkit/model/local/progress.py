"""How long steps report where they are."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Progress", "silent"]


class Progress(Protocol):
    """Called as a step advances; the command line draws it.

    ``stage``: ``verify``, ``download``, ``read``, ``upcycle``, ``save``, ``load``, ``rebuild``.
    ``done`` of ``total`` in the stage's own unit (bytes, tensors); ``total`` 0 where unknown.
    """

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        """Note that ``stage`` has done ``done`` of ``total``."""


def silent(_stage: str, _done: int, _total: int, /) -> None:
    """Report nothing."""
