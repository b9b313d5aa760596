"""How Llama 4 writes an image: tiles of 336 px, 144 patches each, at most 16, and their tokens.

An image is laid on the grid of tiles that shrinks it least; one tile stands for itself, several
are followed by the whole image once more, as a tile. Source: Meta's ``llama-models`` 0.3.0
(``llama4/preprocess.py``, ``llama4/chat_format.py``). Pixels are encoded elsewhere.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentkit.errors import ModelError
from agentkit.model.prompt import Special

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentkit.model.prompt import Prompt

__all__ = ["TileGrid", "best_grid", "image_segments", "image_size", "image_tokens"]

TILE_PIXELS: Final = 336
TILE_PATCHES: Final = 144
MAX_TILES: Final = 16

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8"
_JPEG_SIZES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True, slots=True)
class TileGrid:
    """How many rows and columns of tiles an image is cut into."""

    rows: int
    columns: int


def best_grid(width: int, height: int) -> TileGrid:
    """Return the grid for an image of ``width`` by ``height`` pixels.

    Of the grids that hold the image whole, the one that enlarges it least; where none does, the one
    that shrinks it least; among equals the one of least area. ValueError for an empty image.
    """
    if width < 1 or height < 1:
        raise ValueError(f"an image of {width} by {height} pixels has no grid")
    grids = [
        TileGrid(rows, columns)
        for tiles in range(MAX_TILES, 0, -1)
        for rows in range(1, tiles + 1)
        if tiles % rows == 0
        for columns in [tiles // rows]
    ]

    def scale(grid: TileGrid) -> float:
        return min(grid.columns * TILE_PIXELS / width, grid.rows * TILE_PIXELS / height)

    def rank(grid: TileGrid) -> tuple[bool, float, int]:
        found = scale(grid)
        return (found < 1, found if found >= 1 else -found, grid.rows * grid.columns)

    return min(grids, key=rank)


def image_tokens(grid: TileGrid) -> int:
    """Return how many tokens an image takes: 147 for one tile, else 144rc + r(c-1) + r + 147."""
    rows, columns = grid.rows, grid.columns
    whole = TILE_PATCHES + 3
    if rows * columns == 1:
        return whole
    return TILE_PATCHES * rows * columns + rows * (columns - 1) + rows + whole


def image_segments(grid: TileGrid) -> Prompt:
    """Return an image's tokens: start, the tiles row by row, the whole image, end."""
    return tuple(Special(token) for token in _image_tokens(grid))


def _image_tokens(grid: TileGrid) -> Iterator[str]:
    patches = ["<|patch|>"] * TILE_PATCHES
    yield "<|image_start|>"
    if grid.rows * grid.columns > 1:
        for _ in range(grid.rows):
            for column in range(grid.columns):
                if column:
                    yield "<|tile_x_separator|>"
                yield from patches
            yield "<|tile_y_separator|>"
    yield "<|image|>"
    yield from patches
    yield "<|image_end|>"


def image_size(data: bytes) -> tuple[int, int]:
    """Return width and height in pixels from the header of a PNG or JPEG file.

    Raises ``ModelError`` for any other content.
    """
    size = _png_size(data) if data.startswith(_PNG) else _jpeg_size(data)
    if size is None or 0 in size:
        raise ModelError(
            "an image is neither PNG nor JPEG, or its header is damaged",
            cure="convert the image to PNG before it is put into a message",
        )
    return size


def _png_size(data: bytes) -> tuple[int, int] | None:
    if len(data) < 24 or data[12:16] != b"IHDR":  # noqa: PLR2004 (signature, length, IHDR, size)
        return None
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Walk the segments of a JPEG up to its frame header (ITU T.81, B.2.2)."""
    at = 2 if data.startswith(_JPEG) else len(data)
    while at + 9 <= len(data) and data[at] == 0xFF:  # noqa: PLR2004 (every marker starts so)
        if data[at + 1] in _JPEG_SIZES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        (length,) = struct.unpack_from(">H", data, at + 2)
        at += 2 + max(length, 2)
    return None
