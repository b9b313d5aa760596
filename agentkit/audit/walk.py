"""Walking a log from its first byte to its last, checking each step.

One walk serves opening, verifying and reading, so that all three agree on what is damage. It
never raises on content: it yields records, problems and at most one torn tail at the very end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentkit.audit.frames import Frame, read_frames
from agentkit.audit.merkle import Frontier
from agentkit.audit.record import Record, parse_record
from agentkit.audit.segment import Header, list_segments, read_header

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["GENESIS", "Problem", "TornTail", "Walk"]

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that contradicts the rest.

    ``index``: of the record that should stand there; -1 where no record is concerned.
    ``segment``, ``offset``: the file's number and the byte in it; -1 where no segment is concerned.
    """

    index: int
    segment: int
    offset: int
    what: str


@dataclass(frozen=True, slots=True)
class TornTail:
    """Bytes at the end of the last segment that look like a write which a crash cut short."""

    segment: int
    offset: int
    length: int


class Walk:
    """One pass over a log; iterate it once, then read where it ended.

    ``header``: the first segment's, None before it was read. ``size``: records so far.
    ``intact``: no problem so far, hence ``frontier`` is the tree over all ``size`` records.
    ``prev``: what the next record must name as its predecessor. ``segments``: files seen.
    ``segment``, ``end``: number of the last segment and where its valid content ends.
    """

    def __init__(self, directory: Path) -> None:
        self.header: Header | None = None
        self.frontier = Frontier()
        self.size = 0
        self.prev = GENESIS
        self.intact = True
        self.segments = 0
        self.segment = 0
        self.end = 0
        self._files = list_segments(directory)

    def __iter__(self) -> Iterator[Record | Problem | TornTail]:
        for found in self._segments():
            if isinstance(found, Problem):
                self.intact = False
            yield found

    def _segments(self) -> Iterator[Record | Problem | TornTail]:
        if not self._files:
            yield Problem(-1, -1, -1, "there is no segment: not an audit log, or all of it is gone")
        expected = 0
        for number, path in self._files:
            if number != expected:
                yield Problem(self.size, expected, 0, f"segment {expected} is missing")
            expected = number + 1
            self.segment = number
            self.segments += 1
            try:
                with path.open("rb") as stream:
                    yield from self._segment(stream, number)
            except OSError as error:
                yield Problem(self.size, number, 0, f"the segment is unreadable: {error.strerror}")

    def _segment(self, stream: BinaryIO, number: int) -> Iterator[Record | Problem | TornTail]:
        try:
            header, offset = read_header(stream)
        except ValueError as error:
            yield Problem(self.size, number, 0, str(error))
            return
        yield from self._check_header(header, number)
        self.prev = header.digest().hex()
        self.end = offset
        for found in read_frames(stream, offset):
            if isinstance(found, Frame):
                yield from self._record(found, number)
            elif found.torn and number == self._files[-1][0]:
                yield TornTail(number, found.offset, found.length)
            else:
                yield Problem(self.size, number, found.offset, found.what)

    def _check_header(self, header: Header, number: int) -> Iterator[Problem]:
        if self.header is None:
            self.header = header
        checks = (
            (header.segment == number, "the header has another segment's number"),
            (header.log == self.header.log, "the header is of another log"),
            (header.key == self.header.key, "the header names another key"),
            (header.first == self.size, f"the segment begins at record {header.first}"),
            (header.prev == self.prev, "the header does not continue the segment before"),
            (
                not self.intact or header.root == self.frontier.root().hex(),
                "the header's root is not that of the records before",
            ),
        )
        for right, what in checks:
            if not right:
                yield Problem(self.size, number, 0, what)
        self.size = max(self.size, header.first)

    def _record(self, found: Frame, number: int) -> Iterator[Record | Problem]:
        try:
            record = parse_record(found.payload)
        except ValueError as error:
            yield Problem(self.size, number, found.offset, str(error))
            return
        if record.index != self.size:
            yield Problem(self.size, number, found.offset, f"record {record.index} stands here")
        if record.prev_hash != self.prev:
            what = f"record {record.index} does not follow the one before it"
            yield Problem(self.size, number, found.offset, what)
        # Go on behind the record that is there, so that one hole is one problem and no more.
        self.prev = record.leaf_hash
        self.size = record.index + 1
        self.frontier.append(bytes.fromhex(record.leaf_hash))
        self.end = found.end
        yield record
