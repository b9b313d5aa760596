"""The owner-only cache: a checkpoint directory is there whole and verified, or not at all.

What is covered: a build that was killed at any point (the directory appears by one rename, after
everything in it was synced); two builders at once (a file lock, released by the system when its
holder dies); files that were changed, truncated, added or removed since (SHA-256 of each file
against the manifest, at each load); a cache directory that others could write to.
What is not covered: whoever can act as the same user can rewrite files and manifest together.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from typing import TYPE_CHECKING

import structlog
from filelock import FileLock

from agentkit.errors import ModelError
from agentkit.model.embedded.wheel import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agentkit.progress import Progress

__all__ = ["ensure_checkpoint", "owner_only"]

MANIFEST = "manifest.json"


def owner_only(
    directory: Path,
    *,
    what: str = "the model cache",
    instead: str = "set AGENTKIT_CACHE to a directory of your own",
) -> Path:
    """Create ``directory`` with mode 0700, or check that nobody else may write to it.

    ``what``, ``instead``: what the directory is to the reader of an error, and how to name another.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.stat()
    except OSError as error:
        raise ModelError(
            f"{what} cannot be used: {error.strerror}",
            cure=f"let this user write to it, or {instead}",
            place=str(directory),
        ) from error
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o022:
        raise ModelError(
            f"others can write to {what}, so its content cannot be trusted",
            cure=f"run: chmod 700 {directory}; or {instead}",
            place=str(directory),
        )
    return directory


def ensure_checkpoint(directory: Path, build: Callable[[Path], None], *, progress: Progress) -> str:
    """Make sure that ``directory`` holds what ``build`` makes; return its manifest's SHA-256.

    ``build`` fills an empty directory it is given. A damaged checkpoint is never used: it is
    removed and built again, which is logged and reported as the stage ``rebuild``.
    """
    log = structlog.get_logger(__name__)
    try:
        with FileLock(directory.with_name(f".{directory.name}.lock")):
            for leftover in directory.parent.glob(f".{directory.name}.building-*"):
                shutil.rmtree(leftover)
            if directory.exists():
                damage = _damage(directory, progress=progress)
                if not damage:
                    return _manifest_hash(directory)
                log.warning("cached checkpoint is damaged; rebuilding", problem=damage)
                progress("rebuild", 0, 0)
            scratch = directory.with_name(f".{directory.name}.building-{os.getpid()}")
            scratch.mkdir(mode=0o700)
            try:
                build(scratch)
                _seal(scratch, progress=progress)
                if directory.exists():
                    shutil.rmtree(directory)
                scratch.rename(directory)
                _sync(directory.parent)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
            return _manifest_hash(directory)
    except OSError as error:
        raise ModelError(
            f"the model cache cannot be written or read: {error.strerror or error}",
            cure="free about 2 GB of disk space, or set AGENTKIT_CACHE to another directory",
            place=str(directory.parent),
        ) from error


def _damage(directory: Path, *, progress: Progress) -> str:
    """Say what is wrong with a cached checkpoint; empty if nothing is."""
    try:
        listed = json.loads((directory / MANIFEST).read_bytes())["sha256"]
        expected = {str(name): str(digest) for name, digest in listed.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST} is missing or unreadable"
    present = {path.name for path in directory.iterdir()} - {MANIFEST}
    if present != set(expected):
        return "files were added or removed: " + ", ".join(sorted(present ^ set(expected)))
    for name, digest in sorted(expected.items()):
        path = directory / name
        if path.is_symlink() or not path.is_file():
            return f"{name} is not a plain file"
        if sha256_of(path, progress=progress) != digest:
            return f"{name} has changed"
    return ""


def _seal(directory: Path, *, progress: Progress) -> None:
    """Write the manifest and force everything to disk."""
    paths = sorted(directory.iterdir())
    digests = {path.name: sha256_of(path, progress=progress) for path in paths}
    content = json.dumps({"sha256": digests}, indent=1, sort_keys=True) + "\n"
    (directory / MANIFEST).write_text(content, encoding="utf-8")
    for path in [*paths, directory / MANIFEST, directory]:
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _manifest_hash(directory: Path) -> str:
    return hashlib.sha256((directory / MANIFEST).read_bytes()).hexdigest()
