"""The build context of the image as one tar file, the same whatever this machine's umask is."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["write_context"]

_TESTS = frozenset({"tests", "test"})
"""Folders that packages do not need to run; a third of what they install."""


def write_context(into: Path, files: Mapping[str, Path], site: Path) -> None:
    """Write ``files`` by their names, and the folder ``site`` as ``packages``, into a tar."""
    with tarfile.open(into, mode="w") as tar:
        for name, path in files.items():
            _add(tar, name, path)
        folder = tarfile.TarInfo("packages")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        for path in sorted(_needed(site)):
            _add(tar, f"packages/{path.relative_to(site)}", path)


def _needed(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_symlink():
            continue  # a wheel holds none; what is one leads out of it
        if path.is_dir():
            if path.name not in _TESTS and path.name not in {"bin", "__pycache__"}:
                yield from _needed(path)
        elif path.is_file():
            yield path


def _add(tar: tarfile.TarFile, name: str, path: Path) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = path.stat().st_size, 0o644
    with path.open("rb") as data:
        tar.addfile(entry, data)
