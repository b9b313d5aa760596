"""Long steps, drawn: bars on a terminal, else one plain line a stage; always on stderr."""

from __future__ import annotations

import threading
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from agentkit.cli.screen import Screen

__all__ = ["ShownProgress"]

_WORDS = MappingProxyType(
    {
        "download": "fetch the model (once)",
        "verify": "check the weights' hashes",
        "read": "read the weights",
        "upcycle": "make the experts",
        "save": "keep the checkpoint",
        "load": "load the weights",
        "rebuild": "rebuild a damaged checkpoint",
    }
)


_IN_BYTES = frozenset({"load", "verify"})


class ShownProgress:
    """A ``Progress`` that is seen. May be called from any thread."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._lock = threading.Lock()
        self._told: set[str] = set()
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        """Show that ``stage`` has done ``done`` of ``total``."""
        with self._lock:
            finished = total > 0 and done >= total
            if self._screen.is_interactive:
                self._draw(stage, done, total, finished=finished)
            elif stage not in self._told and not finished:
                self._told.add(stage)
                self._screen.note(f"agentkit: {_WORDS.get(stage, stage)} ...")

    def clear(self) -> None:
        """Take the bars away, so that something else can be written; they come back by a call."""
        with self._lock:
            self._stop()

    def _draw(self, stage: str, done: int, total: int, *, finished: bool) -> None:
        if finished and stage not in self._tasks:
            return
        if self._bars is None:
            self._bars = Progress(
                TextColumn("  {task.description}"),
                BarColumn(bar_width=30),
                TextColumn("{task.percentage:>3.0f} %"),
                TextColumn("{task.fields[size]}"),
                TimeElapsedColumn(),
                console=self._screen.err,
                transient=True,
            )
            self._bars.start()
        if stage not in self._tasks:
            words = _WORDS.get(stage, stage)
            self._tasks[stage] = self._bars.add_task(words, total=total or None, size="")
        size = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB" if stage in _IN_BYTES and total else ""
        self._bars.update(self._tasks[stage], completed=done, total=total or None, size=size)
        if finished:
            self._bars.remove_task(self._tasks.pop(stage))
            if not self._tasks:
                self._stop()

    def _stop(self) -> None:
        if self._bars is not None:
            self._bars.stop()
        self._bars = None
        self._tasks.clear()
