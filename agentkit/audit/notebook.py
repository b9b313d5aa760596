"""The file ``checkpoints``: every signed note of the log, oldest first, as readable text.

Notes are separated by one blank line more than a note contains, so any of them can be cut out
with a text editor and handed on. A note that a crash cut short is dropped when the log is opened:
it had been shown to nobody.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentkit.audit.disk import sync_file, write_all

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["NOTEBOOK", "NOTE_END", "Notebook", "Notes", "read_notes"]

NOTEBOOK = "checkpoints"
NOTE_END = "\n\n\n"
"""What stands behind each note: the end of a signature line and two blank lines."""


@dataclass(frozen=True, slots=True)
class Notes:
    """All whole notes; ``torn``: bytes of an unfinished one behind them; ``size``: of the file."""

    notes: tuple[str, ...]
    torn: int
    size: int


def read_notes(directory: Path) -> Notes:
    """Read the notes of a log; none where the file is missing. Raises OSError and ValueError."""
    try:
        data = (directory / NOTEBOOK).read_bytes()
    except FileNotFoundError:
        return Notes((), 0, 0)
    *notes, rest = data.decode("utf-8", "surrogateescape").split(NOTE_END)
    torn = len(rest.encode("utf-8", "surrogateescape"))
    return Notes(tuple(note + "\n" for note in notes), torn, len(data))


class Notebook:
    """The file, open for appending at ``size``; whatever stood behind is cut."""

    def __init__(self, directory: Path, size: int) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(directory / NOTEBOOK, flags, 0o600)
        os.ftruncate(self._descriptor, size)
        os.lseek(self._descriptor, size, os.SEEK_SET)

    def append(self, note: str) -> None:
        """Add one note; it is on disk when this returns."""
        write_all(self._descriptor, (note + NOTE_END[1:]).encode())
        sync_file(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
