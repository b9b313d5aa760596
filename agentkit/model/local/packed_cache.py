"""The packed-weights cache: what was packed once is mapped into memory at the next start.

One file for each unit (a decoder layer, or all the rest), in safetensors' format with its data
aligned for the kernel. A unit is there as a whole or not at all: its file appears by a rename after
it was synced, then its SHA-256 beside it. So an interrupted run resumes with the first unit that is
not there, and a unit that is damaged is packed again alone.

What is covered: each unit's hash is checked before it is used; files and folder belong to this user
and nobody else may write to them; two processes at once (a file lock); a full disk, or a folder
that cannot be written (units that are there are used, without the lock; the other weights stay in
memory, which is said once).
What is not covered: whoever can act as the same user can rewrite a unit and its hash together, also
while it is mapped.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from typing import TYPE_CHECKING, Self

import structlog
from filelock import FileLock

from agentkit.errors import ModelError
from agentkit.model.embedded.cache import owner_only
from agentkit.model.local.tensor_files import (
    create_private,
    hash_file,
    map_tensors,
    write_tensors,
)

if TYPE_CHECKING:
    from pathlib import Path

    from agentkit.messages import JsonObject
    from agentkit.model.local.parts import Tensors
    from agentkit.progress import Progress

__all__ = ["PackedCache", "checkpoint_identity"]

_SPARE = 1 << 30
_SAMPLES = 16
_SAMPLE = 1 << 16


def checkpoint_identity(shards: tuple[Path, ...], config: JsonObject) -> JsonObject:
    """Return what tells one checkpoint from another without reading all of it.

    Configuration, and of each shard: name, size, time of change, header and sixteen samples.
    """
    return {"config": config, "shards": [_shard_identity(shard) for shard in shards]}


def _shard_identity(shard: Path) -> JsonObject:
    with shard.open("rb") as file:
        found = os.fstat(file.fileno())
        digest = hashlib.sha256(file.read(int.from_bytes(file.read(8), "little")))
        for number in range(_SAMPLES):
            file.seek(number * max(found.st_size - _SAMPLE, 0) // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE))
    return {
        "name": shard.name,
        "size": found.st_size,
        "changed_ns": found.st_mtime_ns,
        "sampled": digest.hexdigest(),
    }


class PackedCache:
    """The packed units of one checkpoint in one format; use it in a ``with`` block.

    ``root``: the cache directory, made owner-only. ``name``: for people. ``identity``: all that the
    packed bytes depend on; another identity is another folder. The layout is the same for every
    instruction set, so the kernel's level is no part of it.
    """

    def __init__(self, root: Path, name: str, identity: JsonObject, progress: Progress) -> None:
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"), default=str)
        key = hashlib.sha256(text.encode()).hexdigest()
        self._log = structlog.get_logger(__name__)
        self._progress = progress
        self._told = False
        self._writable = True
        self.folder = owner_only(owner_only(root) / "packed") / f"{name}-{key[:24]}"
        owner_only(self.folder)
        self._lock = FileLock(self.folder / ".lock")

    def __enter__(self) -> Self:
        try:
            self._lock.acquire()
            for leftover in self.folder.glob("*.writing"):
                leftover.unlink()  # of a run that was killed
        except OSError as error:
            self._not_written(error)
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def load(self, unit: str) -> Tensors | None:
        """Map a unit; None if it is not there, or damaged (which is said once)."""
        path, digest = self._paths(unit)
        try:
            expected = digest.read_text(encoding="ascii").strip()
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            self._damaged(unit, str(error))
            return None
        try:
            if problem := _distrust(descriptor):
                self._damaged(unit, problem)
                return None
            if hash_file(descriptor) != expected:
                self._damaged(unit, "its content has changed")
                return None
            return map_tensors(path, descriptor)
        except (OSError, ModelError) as error:
            self._damaged(unit, str(error))
            return None
        finally:
            os.close(descriptor)

    def store(self, unit: str, tensors: Tensors) -> bool:
        """Write a unit; False if there is no room for it or it cannot be written."""
        size = sum(tensor.nbytes for tensor in tensors.values())
        if not self._writable:
            return False
        path, digest = self._paths(unit)
        try:
            if shutil.disk_usage(self.folder).free < size + _SPARE:
                raise OSError(None, f"less than {(size + _SPARE) / 1e9:.1f} GB are free")  # noqa: TRY301 - one way out for all that keeps a unit from being written
            digest.unlink(missing_ok=True)
            content = write_tensors(path, tensors)
            _replace(digest, f"{content}\n".encode("ascii"))
        except OSError as error:
            self._not_written(error)
            return False
        return True

    def _paths(self, unit: str) -> tuple[Path, Path]:
        return self.folder / f"{unit}.safetensors", self.folder / f"{unit}.sha256"

    def _not_written(self, error: OSError) -> None:
        self._writable = False
        self._log.warning(
            "packed_cache_not_written",
            reason=error.strerror,
            effect="what is not there yet stays in memory; the next start packs it again",
            cure=f"make {self.folder} writable, free disk space for it, or set AGENTKIT_CACHE",
        )

    def _damaged(self, unit: str, problem: str) -> None:
        if not self._told:
            self._told = True
            self._log.warning(
                "packed_cache_damaged", unit=unit, problem=problem, effect="it is packed again"
            )
            self._progress("rebuild", 0, 0)


def _distrust(descriptor: int) -> str:
    """Say why a file cannot be trusted; empty if it can."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        return "it is no plain file"
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o022:
        return "others can write to it"
    return ""


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_suffix(".writing")
    with os.fdopen(create_private(beside), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
