"""Bytes that are on disk when the call returns."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["make_directory", "sync_directory", "sync_file", "write_all", "write_new"]


def sync_file(descriptor: int) -> None:
    """Wait until the file's data, and the size needed to read it, are on disk."""
    if sys.platform == "darwin":
        import fcntl  # noqa: PLC0415  # F_FULLFSYNC exists there only; fsync stops at the drive's cache

        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(descriptor)


def sync_directory(path: Path) -> None:
    """Wait until the directory's entries (new, renamed and removed files) are on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Make an owner-only directory, and what is missing above it; on disk when this returns."""
    missing = [place for place in (path, *path.parents) if not place.exists()]
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    for made in missing:
        sync_directory(made.parent)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of ``data``; OSError where the system takes only a part."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_new(path: Path, data: bytes) -> None:
    """Create an owner-only file of ``data``; FileExistsError where there is one already."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    try:
        write_all(descriptor, data)
        sync_file(descriptor)
    except BaseException:
        path.unlink(missing_ok=True)  # a partial file must not be met by the next start
        raise
    finally:
        os.close(descriptor)
