"""What the disk, SQLite and the content itself do wrong, as agentkit's errors."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agentkit.audit.segment import segment_path
from agentkit.errors import AuditDamaged, AuditError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentkit.audit.walk import Problem

__all__ = ["as_audit_errors", "damaged"]

_DISK_CURE = "give the log a local directory with free space that this user may read and write"
_DAMAGE_CURE = (
    "keep the directory as evidence, run `agentkit audit verify` on it,"
    " and begin a new log in another directory"
)


@contextmanager
def as_audit_errors(directory: Path) -> Iterator[None]:
    """Raise ``AuditError`` in place of what the system and SQLite raise."""
    try:
        yield
    except OSError as error:
        raise AuditError(
            f"the audit log cannot be used: {error.strerror or error}",
            cure=_DISK_CURE,
            place=str(error.filename or directory),
        ) from error
    except sqlite3.OperationalError as error:
        raise AuditError(
            f"the audit log's side store cannot be used: {error}",
            cure=_DISK_CURE,
            place=str(directory),
        ) from error
    except sqlite3.DatabaseError as error:
        raise AuditDamaged(
            f"the audit log's side store is damaged: {error}",
            cure=_DAMAGE_CURE,
            place=str(directory),
        ) from error


def damaged(directory: Path, problem: Problem) -> AuditDamaged:
    """Return the error that says ``problem`` and where it is."""
    place = str(directory)
    if problem.segment >= 0:
        place = f"{segment_path(directory, problem.segment)}:{max(problem.offset, 0)}"
    return AuditDamaged(
        f"the audit log contradicts itself: {problem.what}", cure=_DAMAGE_CURE, place=place
    )
