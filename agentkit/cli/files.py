"""Writing files for the user: all of them or none, and never over something unasked."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agentkit.errors import AgentkitError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["check_writable", "write_files"]


def write_files(folder: Path, files: Mapping[str, str], *, force: bool) -> list[Path]:
    """Write ``files`` (name → text) into ``folder``, which is made; return their paths.

    Raises ``AgentkitError`` where one is there already and ``force`` is not given, or where the
    folder cannot be written.
    """
    paths = {folder / name: text for name, text in files.items()}
    there = [path for path in paths if os.path.lexists(path)]
    if there and not force:
        raise AgentkitError(
            "is there already; nothing was written",
            cure="choose another folder, or add --force to replace it",
            place=", ".join(map(str, there)),
        )
    with _as_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in paths.items():
            partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
    return [*paths]


def check_writable(path: Path) -> None:
    """Raise ``AgentkitError`` unless ``path`` can be written later; its folder is made."""
    if path.is_dir():
        raise AgentkitError("is a folder", cure="name a file", place=str(path))
    with _as_error(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass


@contextmanager
def _as_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AgentkitError(
            f"cannot be written: {error.strerror}",
            cure="name a folder that this user may write",
            place=str(error.filename or folder),
        ) from error
