"""Read tensors out of safetensors shards one at a time, without mapping the files.

A mapped shard counts as this process's memory page by page as it is touched, and a file that
shrinks under a mapping kills the process. So the header says where each tensor lies, and its bytes
are read straight into the tensor that is returned: what was read and let go is gone.

What is covered: headers that are garbled, truncated or point outside their file; tensors of
overlapping names in two shards. What is not covered: what the weights do.
"""

from __future__ import annotations

import json
import math
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch

from agentkit.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, KeysView
    from pathlib import Path
    from types import TracebackType

__all__ = ["DTYPES", "ShardReader", "StoredTensor", "raw_bytes", "read_header"]

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
"""safetensors' names of the formats that torch knows."""

_MOST_HEADER = 100_000_000
_MOST_NUMBERS = 1 << 60
_CANNOT_BE_TRUE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RecursionError,
    struct.error,
)


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where one tensor lies. ``start``: its first byte in ``file``."""

    file: Path
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return math.prod(self.shape) * self.dtype.itemsize


class ShardReader:
    """All tensors of some shards by name. Close it, or use it in a ``with`` block."""

    def __init__(self, shards: Iterable[Path]) -> None:
        self._stored: dict[str, StoredTensor] = {}
        self._open: dict[Path, int] = {}
        for shard in shards:
            found = read_header(shard)
            twice = sorted(found.keys() & self._stored.keys())
            if twice:
                raise ModelError(
                    f"{twice[0]} is in this shard and in {self._stored[twice[0]].file.name}",
                    cure="copy the model again; two versions of it are mixed",
                    place=str(shard),
                )
            self._stored |= found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def names(self) -> KeysView[str]:
        """The names of all tensors."""
        return self._stored.keys()

    def stored(self, name: str) -> StoredTensor:
        """Say where ``name`` lies; ``KeyError`` if nowhere."""
        return self._stored[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of ``name``; ``KeyError`` if there is no such tensor."""
        return self._stored[name].shape

    def read(self, name: str, index: int | None = None) -> torch.Tensor:
        """Return a tensor, or its part ``[index]``, in memory of its own."""
        stored = self._stored[name]
        shape, start = stored.shape, stored.start
        if index is not None:
            shape = shape[1:]
            start += index * math.prod(shape) * stored.dtype.itemsize
        out = torch.empty(shape, dtype=stored.dtype)
        if out.numel():
            self._fill(stored.file, raw_bytes(out), start)
        return out

    def close(self) -> None:
        """Close the files."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def _fill(self, path: Path, into: memoryview, start: int) -> None:
        if path not in self._open:
            self._open[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        done = 0
        while done < len(into):
            got = os.preadv(self._open[path], [into[done:]], start + done)
            if got == 0:
                raise ModelError(
                    "the file became shorter while it was read",
                    cure="let nothing write to the model's folder; copy the file again",
                    place=str(path),
                )
            done += got


def raw_bytes(tensor: torch.Tensor) -> memoryview:
    """Return a contiguous tensor's memory."""
    return memoryview(tensor.view(-1).view(torch.uint8).numpy().data)


def read_header(path: Path) -> dict[str, StoredTensor]:
    """Return what one shard holds; raises ``ModelError`` for a header that cannot be true."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            (length,) = struct.unpack("<Q", file.read(8))
            # A header that claims more than the file is cut short here and is no JSON then.
            listed = json.loads(file.read(min(length, _MOST_HEADER)))
        return {
            name: _stored(path, name, entry, 8 + length, size)
            for name, entry in listed.items()
            if name != "__metadata__"
        }
    except _CANNOT_BE_TRUE as error:
        raise ModelError(
            f"the weights are truncated or damaged: {error}",
            cure="copy or download the file again",
            place=str(path),
        ) from error


def _stored(path: Path, name: str, entry: dict[str, object], base: int, size: int) -> StoredTensor:
    """Check one entry of a header against the file's size."""
    if entry["dtype"] not in DTYPES:
        raise ValueError(f"{name} has the unknown format {entry['dtype']}")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not isinstance(shape, list) or not isinstance(offsets, list):
        raise TypeError(f"{name} has no shape or no place")
    if any(type(number) is not int or number < 0 for number in (*shape, *offsets)) or (
        math.prod(number or 1 for number in shape) > _MOST_NUMBERS  # torch counts empty ones too
    ):
        raise ValueError(f"{name} has a shape or a place that cannot be")
    found = StoredTensor(path, DTYPES[str(entry["dtype"])], tuple(shape), base + offsets[0])
    if offsets[1] - offsets[0] != found.nbytes or base + offsets[1] > size:
        raise ValueError(f"{name} does not fit its place in the file")
    return found
