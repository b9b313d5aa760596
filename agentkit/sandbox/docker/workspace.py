"""Files in, files out: the runner's view of the working directory, inside the container."""

from __future__ import annotations

import base64
import os
import shutil
import stat
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["State", "changed_files", "file_states", "wipe", "write_files"]

State: TypeAlias = "tuple[int, int, int]"
"""Inode, size and time of last change of a file."""

_ENTRIES = 4096


def write_files(directory: str, files: dict[str, str]) -> None:
    """Write ``files`` (relative name → base64), each as a new file; links are replaced."""
    for name, encoded in files.items():
        path = os.path.join(directory, name)  # noqa: PTH118  pathlib is not loaded in the runner
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120  see above
        if os.path.lexists(path):
            os.unlink(path)  # noqa: PTH108  see above
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(base64.b64decode(encoded))


def file_states(directory: str) -> dict[str, State]:
    """Return name → state of the regular files below ``directory``; links are not followed."""
    return {
        os.path.relpath(path, directory): (status.st_ino, status.st_size, status.st_mtime_ns)
        for path, status in _regular_files(directory)
    }


def changed_files(
    directory: str, before: dict[str, State], limit: int, count: int
) -> tuple[dict[str, str], list[str]]:
    """Return new and changed files as name → base64, and the names left out.

    ``limit``: bytes of all files together. ``count``: files at most.
    """
    taken: dict[str, str] = {}
    left_out: list[str] = []
    for name, state in sorted(file_states(directory).items()):
        if before.get(name) == state:
            continue
        path = os.path.join(directory, name)  # noqa: PTH118  see write_files
        data = _read(path, limit) if len(taken) < count else None
        if data is None:
            left_out.append(name)
        else:
            limit -= len(data)
            taken[name] = base64.b64encode(data).decode("ascii")
    return taken, left_out


def wipe(directory: str, mode: int) -> None:
    """Remove everything below ``directory``, and what its own ``mode`` and times could say.

    Raises ``OSError`` or ``RecursionError``.
    """
    if stat.S_IMODE(os.stat(directory).st_mode) != mode:  # noqa: PTH116  see write_files
        os.chmod(directory, mode)  # noqa: PTH101  see write_files
    with os.scandir(directory) as entries:
        found = list(entries)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            os.chmod(entry.path, 0o700)  # noqa: PTH101  see write_files
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)  # noqa: PTH108  see write_files
    os.utime(directory)


def _regular_files(directory: str) -> Iterator[tuple[str, os.stat_result]]:
    pending, seen = [directory], 0
    while pending:
        try:
            entries = os.scandir(pending.pop())
        except OSError:
            continue  # closed to its own user, or gone
        with entries:
            for entry in entries:
                seen += 1
                if seen > _ENTRIES:
                    return
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:
                    continue  # gone, or nested deeper than a path can say
                if stat.S_ISDIR(status.st_mode):
                    pending.append(entry.path)
                elif stat.S_ISREG(status.st_mode):
                    yield entry.path, status


def _read(path: str, limit: int) -> bytes | None:
    """Return a file's content; None where it is no regular file, too large or not readable."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
                return None
            data = file.read(limit + 1)
    except OSError:
        return None
    return data if len(data) <= limit else None
