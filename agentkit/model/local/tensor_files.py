"""Tensors in a file of this user's alone: written, hashed, and mapped again.

The format is safetensors', its data aligned to whole pages, large tensors to whole cache lines.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from typing import TYPE_CHECKING

import torch

from agentkit.model.local.shards import DTYPES, raw_bytes, read_header

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["create_private", "hash_file", "map_tensors", "write_tensors"]

_ALIGNMENT = 4096
_LINE = 64
_BLOCK = 16 << 20
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def hash_file(descriptor: int) -> str:
    """Return the SHA-256 of an open file's content."""
    digest, block, at = hashlib.sha256(), bytearray(_BLOCK), 0
    while got := os.preadv(descriptor, [block], at):
        digest.update(memoryview(block)[:got])
        at += got
    return digest.hexdigest()


def map_tensors(path: Path, descriptor: int) -> dict[str, torch.Tensor]:
    """Map the file: pages come in as they are used and are shared between processes."""
    stored = read_header(path)
    # Copy on write: torch wants memory it may write to, and nothing of it reaches the file.
    mapped = mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY)
    return {
        name: torch.frombuffer(
            mapped, dtype=one.dtype, count=one.nbytes // one.dtype.itemsize, offset=one.start
        ).view(one.shape)
        if one.nbytes
        else torch.empty(one.shape, dtype=one.dtype)
        for name, one in stored.items()
    }


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> str:
    """Write one file, synced and renamed into place; return its SHA-256.

    Where that fails, on a full disk for one, nothing is left of it.
    """
    # Whole cache lines first: every tensor before an odd one begins on a line of its own.
    names = sorted(tensors, key=lambda name: (tensors[name].nbytes % _LINE != 0, name))
    header, at = {}, 0
    for name in names:
        tensor = tensors[name]
        header[name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [at, at + tensor.nbytes],
        }
        at += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    beside = path.with_suffix(".writing")
    digest = hashlib.sha256()
    try:
        with os.fdopen(create_private(beside), "wb") as file:
            for part in (len(text).to_bytes(8, "little"), text):
                file.write(part)
                digest.update(part)
            for name in names:
                flat = tensors[name].detach().contiguous().reshape(-1).view(torch.uint8)
                for start in range(0, len(flat), _BLOCK):
                    raw = raw_bytes(flat[start : start + _BLOCK])
                    file.write(raw)
                    digest.update(raw)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return digest.hexdigest()


def create_private(path: Path) -> int:
    """Create a file of mode 0600 anew; return its descriptor, open for writing."""
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
