"""Segments: the log's files, each beginning with a header that ties it to the one before.

``segment-00000000.log`` is the magic line, one frame with the header, then one frame a record.
A segment is created under another name and renamed once its header is on disk, so a crash never
leaves half a header.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from agentkit.audit.canonical import canonical_json, parse_canonical
from agentkit.audit.disk import sync_directory, sync_file, write_all, write_new
from agentkit.audit.frames import frame, read_frame

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["Header", "SegmentWriter", "list_segments", "read_header", "segment_path"]

MAGIC = b"agentkit-audit\n"
FORMAT = 1
_NAME = re.compile(r"segment-(\d{8})\.log")


@dataclass(frozen=True, slots=True)
class Header:
    """What a segment says of itself.

    ``log``: 32 hex digits, the same in all segments. ``first``: index of its first record.
    ``prev``: leaf hash of the last record before (of the first segment, zeros). ``root``: root of
    the tree over all records before. ``key``: the verifier key of the log's checkpoints.
    """

    format: int
    log: str
    segment: int
    first: int
    prev: str
    root: str
    key: str

    def payload(self) -> bytes:
        """Return the canonical bytes of the header."""
        return canonical_json(asdict(self))

    def digest(self) -> bytes:
        """Return the SHA-256 that the segment's first record names as the one before it."""
        return hashlib.sha256(self.payload()).digest()


def segment_path(directory: Path, number: int) -> Path:
    """Return where segment ``number`` of a log stands."""
    return directory / f"segment-{number:08d}.log"


def list_segments(directory: Path) -> list[tuple[int, Path]]:
    """Return number and path of each segment there is, in order."""
    found = ((_NAME.fullmatch(path.name), path) for path in directory.iterdir())
    return sorted((int(match[1]), path) for match, path in found if match)


def read_header(stream: BinaryIO) -> tuple[Header, int]:
    """Return the header and the offset of the first record; ValueError where there is none."""
    if stream.read(len(MAGIC)) != MAGIC:
        raise ValueError("not a segment of an audit log")
    found = read_frame(stream, len(MAGIC))
    if found is None:
        raise ValueError("the segment's header is damaged")
    fields: Any = parse_canonical(found.payload)
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise ValueError("a format that this version of agentkit does not read")
    numbers = ("format", "segment", "first")
    if fields.keys() != Header.__dataclass_fields__.keys() or not all(
        type(value) is (int if name in numbers else str) for name, value in fields.items()
    ):
        raise ValueError("not the fields of a segment's header")
    return Header(**fields), found.end


class SegmentWriter:
    """One segment, open for appending."""

    def __init__(self, path: Path, number: int, size: int) -> None:
        """Open ``path``, whose valid content ends at ``size``; the rest must be cut already."""
        self.number = number
        self.size = size
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags)
        os.lseek(self._descriptor, size, os.SEEK_SET)

    @classmethod
    def create(cls, directory: Path, header: Header) -> SegmentWriter:
        """Create the file of ``header``; it is on disk when this returns. Raises OSError."""
        path = segment_path(directory, header.segment)
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)  # left by a crash before it had become part of the log
        content = MAGIC + frame(header.payload())
        write_new(fresh, content)
        fresh.rename(path)
        sync_directory(directory)
        return cls(path, header.segment, len(content))

    def append(self, frames: bytes) -> None:
        """Write ``frames``; they are on disk when this returns.

        On OSError nothing of them stays, as far as the disk still obeys; what it refuses to take
        back is a torn tail for the next opening. The writer must not be used again.
        """
        try:
            write_all(self._descriptor, frames)
            sync_file(self._descriptor)
        except OSError:
            self._take_back()
            raise
        self.size += len(frames)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _take_back(self) -> None:
        try:
            os.ftruncate(self._descriptor, self.size)
            sync_file(self._descriptor)
        except OSError:
            # The first error is the one to report; the next opening finds and cuts the torn tail.
            return
