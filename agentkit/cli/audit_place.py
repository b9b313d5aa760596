"""From what the user named, a log's folder or an agent.yaml, to the log's folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agentkit.audit.notebook import NOTEBOOK
from agentkit.audit.sealed import SIDE_STORE
from agentkit.errors import AuditError
from agentkit.spec import load_spec

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["find_log"]


def find_log(named: Path) -> Path:
    """Return the folder of the log. Raises ``AuditError`` or ``SpecError``."""
    if os.path.isfile(named):  # noqa: PTH113 - a folder closed to this user is no reason to raise
        loaded = load_spec(named)
        folder = loaded.resolve(loaded.spec.audit.path)
    else:
        folder = named
    if not os.path.isdir(folder):  # noqa: PTH112 - as above
        raise AuditError(
            "there is no audit log here",
            cure="name the folder of a log, or the agent.yaml that wrote one",
            place=str(folder),
        )
    _check_readable(folder)
    return folder


def _check_readable(folder: Path) -> None:
    """Raise ``AuditError`` where this user may not read the log: that is no damage."""
    try:
        for path in folder.iterdir():
            if path.suffix == ".log" or path.name in {NOTEBOOK, SIDE_STORE}:
                path.open("rb").close()
    except OSError as error:
        raise AuditError(
            f"cannot be read: {error.strerror}",
            cure="read the log as its owner, from a disk that answers",
            place=str(error.filename or folder),
        ) from error
