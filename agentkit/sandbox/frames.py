"""Length-prefixed JSON frames: how a session talks to the process that runs its code.

A frame is four bytes, big-endian, the length of the body; then the body, one JSON object as ASCII.
Honest frames are long by their strings only. What has more than that is refused before it is
parsed: a million empty lists take little room as text, much memory as objects, and the time of
whoever parses them.
The file has no imports from agentkit: it is copied into the docker image beside the runner.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FrameError", "FrameReader", "encode_frame"]

_HEADER = struct.Struct(">I")
_STRUCTURE = 1 << 18
_ENCODER = json.JSONEncoder(separators=(",", ":"))


class FrameError(ValueError):
    """The bytes are no frame, or the frame is larger than its reader accepts."""


def encode_frame(message: dict[str, Any]) -> bytes:
    """Return ``message`` as one frame. Lone surrogates survive, as JSON escapes."""
    body = _ENCODER.encode(message).encode("ascii")
    return _HEADER.pack(len(body)) + body


class FrameReader:
    """Cuts a stream of bytes, fed in any pieces, into messages.

    ``max_bytes``: the largest body accepted; what claims to be larger is refused by its header,
    before any of it is stored.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Take ``data`` and yield the messages it completes. Raises ``FrameError``."""
        self._pending += data
        while len(self._pending) >= _HEADER.size:
            (length,) = _HEADER.unpack_from(self._pending)
            if length > self._max_bytes:
                raise FrameError(f"a frame of {length} bytes; at most {self._max_bytes} are read")
            end = _HEADER.size + length
            if len(self._pending) < end:
                return
            body = bytes(self._pending[_HEADER.size : end])
            del self._pending[:end]
            yield _decode(body)


def _decode(body: bytes) -> dict[str, Any]:
    if len(body) > _STRUCTURE and _structure(body) > _STRUCTURE:
        raise FrameError(f"a frame of more than {_STRUCTURE} bytes besides its strings")
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"a frame that is no JSON: {type(error).__name__}") from error
    if not isinstance(message, dict):
        raise FrameError(f"a frame that is no JSON object but {type(message).__name__}")
    return message


def _structure(body: bytes) -> int:
    """Return how many bytes of ``body`` are in no string, or where there are more its quotes.

    Where the marks of JSON are few wherever they stand, as in files, their number says enough.
    """
    marks = sum(map(body.count, (b"[", b"{", b",")))
    if marks <= _STRUCTURE:
        return marks
    plain = body.replace(rb"\\", b"").replace(rb"\"", b"")  # escapes stand in strings only
    quotes = plain.count(b'"')
    return quotes if quotes > _STRUCTURE else sum(map(len, plain.split(b'"')[::2]))
