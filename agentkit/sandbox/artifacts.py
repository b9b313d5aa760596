"""What a run left behind, as typed artifacts: files by their names, shown values by their kind.

Everything here was written by the code. A kind is a promise about how content may be displayed, so
it is given only where the content keeps it: a ``.png`` without PNG's signature is a file like any
other, and so is JSON too large to be looked through. HTML and SVG can hold scripts: who shows them
does so in a frame without rights.
"""

from __future__ import annotations

import base64
import binascii
import json
import mimetypes
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from agentkit.sandbox.interface import Artifact, ArtifactKind

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ARTIFACTS", "safe_name", "taken_artifacts"]

ARTIFACTS = 64

_NAME_LENGTH = 200
_JSON_BYTES = 1 << 20  # the most that is parsed to learn whether it is JSON
_PNG = b"\x89PNG\r\n\x1a\n"
_MEDIA_TYPES = mimetypes.MimeTypes()
_KINDS = {
    "application/json": ArtifactKind.JSON,
    "text/csv": ArtifactKind.TABLE,
    "text/html": ArtifactKind.HTML,
    "image/png": ArtifactKind.PNG,
    "image/svg+xml": ArtifactKind.SVG,
}
_SHOWN = {
    "table": ("table", ".json", "application/json"),
    "html": ("value", ".html", "text/html"),
    "png": ("figure", ".png", "image/png"),
    "svg": ("value", ".svg", "image/svg+xml"),
    "json": ("value", ".json", "application/json"),
    "text": ("value", ".txt", "text/plain"),
}


def safe_name(name: str) -> str | None:
    """Return ``name`` as a relative path inside a directory; None where it is none."""
    if not name or len(name) > _NAME_LENGTH or not name.isprintable() or "\\" in name:
        return None
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts:
        return None
    return str(path)


def taken_artifacts(frame: dict[str, Any], limit: int) -> tuple[tuple[Artifact, ...], list[object]]:
    """Return the artifacts of a ``result`` frame, and the names of those that were not taken.

    ``limit``: bytes of all of them together. The frame's ``artifacts`` is name → base64 of files,
    of which the first ``ARTIFACTS`` are looked at, ``shown`` a list of ``{"kind", "data": base64}``
    in the order they were shown.
    """
    taken: list[Artifact] = []
    given = frame.get("artifacts")
    dropped: list[object] = [*given][ARTIFACTS:] if isinstance(given, dict) else []
    for name, data, media_type, kind in (*_files(frame), *_shown(frame)):
        safe = safe_name(name) if isinstance(name, str) else None
        if safe is None or data is None or len(data) > limit or len(taken) == ARTIFACTS:
            dropped.append(name)
            continue
        limit -= len(data)
        guessed = media_type or _MEDIA_TYPES.guess_type(safe)[0] or "application/octet-stream"
        taken.append(Artifact(safe, data, guessed, _kept(kind or _kind_of(guessed), data)))
    return tuple(taken), dropped


def _files(frame: dict[str, Any]) -> Iterator[tuple[object, bytes | None, str, None]]:
    given = frame.get("artifacts")
    for name, encoded in islice(given.items(), ARTIFACTS) if isinstance(given, dict) else ():
        yield name, _bytes(encoded), "", None


def _shown(frame: dict[str, Any]) -> Iterator[tuple[str, bytes | None, str, ArtifactKind | None]]:
    given = frame.get("shown")
    counts: dict[str, int] = {}
    for item in given[: ARTIFACTS + 1] if isinstance(given, list) else ():
        kind = item.get("kind") if isinstance(item, dict) else None
        if not isinstance(kind, str) or kind not in _SHOWN:
            continue
        stem, ending, media_type = _SHOWN[kind]
        counts[stem + ending] = counts.get(stem + ending, 0) + 1
        name = f"{stem}-{counts[stem + ending]}{ending}"
        yield name, _bytes(item.get("data")), media_type, ArtifactKind(kind)


def _kind_of(media_type: str) -> ArtifactKind:
    kind = _KINDS.get(media_type)
    if kind is None:
        return ArtifactKind.TEXT if media_type.startswith("text/") else ArtifactKind.FILE
    return kind


def _kept(kind: ArtifactKind, data: bytes) -> ArtifactKind:
    """Return ``kind`` where ``data`` is of it, else ``FILE``."""
    if kind is ArtifactKind.FILE:
        return kind
    if kind is ArtifactKind.PNG:
        return kind if data.startswith(_PNG) else ArtifactKind.FILE
    if kind is ArtifactKind.JSON and len(data) > _JSON_BYTES:
        return ArtifactKind.FILE
    try:
        text = data.decode("utf-8")
        if kind is ArtifactKind.JSON:
            json.loads(text)
    except (ValueError, RecursionError):
        return ArtifactKind.FILE
    return kind


def _bytes(encoded: object) -> bytes | None:
    if not isinstance(encoded, str):
        return None
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
