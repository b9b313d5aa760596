"""A cache directory that only its owner can write, for files that are as dangerous as programs.

What is covered: an entry is used only where its directory and files belong to this user, are
closed to all others, are regular files with one name, and have the hashes their manifest states.
Anything else is moved away and built again. Builders exclude each other by a file lock, and an
entry appears under its name only when it is complete.
What is not covered: an attacker who is this user already.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import structlog

from agentkit.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

__all__ = ["CachedFile", "OwnedCache"]

_MANIFEST = "manifest.json"
_LOCK_POLL_S = 0.1
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CachedFile:
    """A file of the cache that was checked; ``sha256`` is checked again by who loads it."""

    path: Path
    sha256: str


class OwnedCache:
    """Entries under one directory; an entry is a key with one file and its manifest."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def find(self, key: str, name: str) -> CachedFile | None:
        """Return the file of the entry ``key``, or None where it is absent or not to be trusted."""
        entry = self.directory / key
        if not os.path.lexists(entry):
            return None
        try:
            return _checked(entry, key, name)
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("sandbox_cache_rejected", entry=str(entry), reason=str(error))
            self._remove(entry)
            return None

    def store(self, key: str, files: Mapping[str, bytes]) -> None:
        """Write an entry whole or not at all."""
        self._make_directory()
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=self.directory))
        try:
            manifest: dict[str, object] = {
                "key": key,
                "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
            }
            for name, data in {**files, _MANIFEST: json.dumps(manifest).encode()}.items():
                _write(partial / name, data)
            self._remove(self.directory / key)
            partial.rename(self.directory / key)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Hold the cache's lock; a second builder waits here and finds the entry made."""
        self._make_directory()
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        lock = os.open(self.directory / ".lock", flags, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await anyio.sleep(_LOCK_POLL_S)
            yield
        finally:
            os.close(lock)

    def _make_directory(self) -> None:
        try:
            self.directory.parent.mkdir(parents=True, exist_ok=True)
            self.directory.mkdir(mode=0o700, exist_ok=True)
            _check_owned(self.directory.lstat(), stat.S_ISDIR, self.directory)
        except (OSError, ValueError) as error:
            raise SandboxError(
                f"the sandbox cannot keep its compiled guest: {error}",
                place=str(self.directory),
                cure="remove it or make it yours with mode 0700, or set AGENTKIT_CACHE elsewhere",
            ) from error

    @staticmethod
    def _remove(entry: Path) -> None:
        if entry.is_symlink() or entry.is_file():
            entry.unlink(missing_ok=True)
        elif entry.exists():
            shutil.rmtree(entry)


def _check_owned(status: os.stat_result, kind: object, path: Path) -> None:
    if not callable(kind) or not kind(status.st_mode):
        raise ValueError(f"{path.name} is not of the expected kind")
    if status.st_uid != os.geteuid():
        raise ValueError(f"{path.name} belongs to user {status.st_uid}")
    if status.st_mode & 0o077:
        raise ValueError(f"{path.name} is open to other users")


def _checked(entry: Path, key: str, name: str) -> CachedFile:
    _check_owned(entry.parent.lstat(), stat.S_ISDIR, entry.parent)
    _check_owned(entry.lstat(), stat.S_ISDIR, entry)
    for file in (entry / name, entry / _MANIFEST):
        status = file.lstat()
        _check_owned(status, stat.S_ISREG, file)
        if status.st_nlink != 1:
            raise ValueError(f"{file.name} has a second name")
    manifest = json.loads((entry / _MANIFEST).read_bytes())
    if manifest["key"] != key:
        raise ValueError("the manifest is another entry's")
    with (entry / name).open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != manifest["sha256"][name]:
        raise ValueError(f"{name} does not have the hash in its manifest")
    return CachedFile(entry / name, found)


def _write(path: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
