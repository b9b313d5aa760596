"""Frames on disk: ``[length u32][CRC32C u32][payload]``, big-endian, one after another.

The CRC tells a write that a crash cut short from one that finished; the hash chain, not the CRC,
tells tampering. Reading goes on behind unreadable bytes wherever a whole frame follows, so that
damage inside is never taken for a torn tail.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import google_crc32c

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_PAYLOAD", "Frame", "Gap", "frame", "read_frame", "read_frames"]

MAX_PAYLOAD = 16 * 1024 * 1024
_HEAD = struct.Struct(">II")
_MARK = b'{"body":'  # every record begins so, for its canonical keys are sorted
_LOOK_AHEAD = 256 * 1024 * 1024
_CANDIDATES = 1000


@dataclass(frozen=True, slots=True)
class Frame:
    """A payload whose length and CRC are right, and the file offset of its frame."""

    offset: int
    payload: bytes

    @property
    def end(self) -> int:
        """File offset behind the frame."""
        return self.offset + _HEAD.size + len(self.payload)


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes from which no frame can be read. ``torn``: they reach to the end of the file and look
    like a write that a crash cut short.
    """

    offset: int
    length: int
    what: str
    torn: bool


def frame(payload: bytes) -> bytes:
    """Return ``payload`` framed for the file."""
    return _HEAD.pack(len(payload), google_crc32c.value(payload)) + payload


def read_frame(stream: BinaryIO, offset: int) -> Frame | None:
    """Return the frame at the stream's position, which is ``offset``; None where there is none."""
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    length, checksum = _HEAD.unpack(head)
    if not 0 < length <= MAX_PAYLOAD:
        return None
    payload = stream.read(length)
    if len(payload) < length or google_crc32c.value(payload) != checksum:
        return None
    return Frame(offset, payload)


def read_frames(stream: BinaryIO, offset: int) -> Iterator[Frame | Gap]:
    """Yield everything from ``offset`` to the end of the file, in order, without a hole."""
    stream.seek(offset)
    while True:
        found = read_frame(stream, offset)
        if found is not None:
            yield found
            offset = found.end
            continue
        stream.seek(offset)
        rest = stream.read(_LOOK_AHEAD + 1)
        if not rest:
            return
        skipped = _next_frame(rest)
        if skipped is None:
            yield Gap(offset, len(rest), _what(rest), torn=_is_torn(rest))
            return
        yield Gap(offset, skipped, _what(rest), torn=False)
        if skipped >= len(rest):
            return
        offset += skipped
        stream.seek(offset)


def _next_frame(rest: bytes) -> int | None:
    """Return where the next whole frame begins in ``rest``, None where there is none.

    Gives up, as if all of ``rest`` were damage, where it is too long or holds too many candidates
    to try: an attacker chooses this content.
    """
    if len(rest) > _LOOK_AHEAD:
        return len(rest)
    at = rest.find(_MARK, _HEAD.size + 1)
    for _ in range(_CANDIDATES):
        if at < 0:
            return None
        start = at - _HEAD.size
        length, checksum = _HEAD.unpack_from(rest, start)
        fits = 0 < length <= MAX_PAYLOAD and at + length <= len(rest)
        if fits and google_crc32c.value(rest[at : at + length]) == checksum:
            return start
        at = rest.find(_MARK, at + 1)
    return len(rest)


def _is_torn(rest: bytes) -> bool:
    """Tell whether ``rest``, which reaches to the end of the file, may be an unfinished write.

    File systems leave such a write cut short, or filled up with zeros. Anything else, such as a
    whole record behind an altered length, is damage.
    """
    if len(rest) < _HEAD.size or not rest.strip(b"\0"):
        return True
    length: int
    checksum: int
    length, checksum = _HEAD.unpack_from(rest)
    if not 0 < length <= MAX_PAYLOAD:
        return False
    payload = rest[_HEAD.size :]
    if len(payload) < length:
        return bool(google_crc32c.value(payload) != checksum)
    return not payload[length:].strip(b"\0")


def _what(rest: bytes) -> str:
    if len(rest) < _HEAD.size:
        return "an incomplete frame"
    length, _ = _HEAD.unpack_from(rest)
    if not 0 < length <= MAX_PAYLOAD:
        return f"a frame of impossible length {length}"
    if len(rest) - _HEAD.size < length:
        return "an incomplete frame"
    return "a frame with a wrong CRC32C"
