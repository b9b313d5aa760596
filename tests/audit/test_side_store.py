"""Damage to the store of sensitive values beside the log."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from agentkit.audit import AuditEvent, AuditLog, EventKind, tail, verify
from agentkit.errors import AuditDamaged, AuditError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def closed(directory: Path) -> Path:
    """A closed log of one record."""
    with AuditLog.open(directory) as log:
        log.append(AuditEvent(EventKind.GUARD, "run"))
    return directory


def test_a_side_store_that_is_no_database(closed: Path) -> None:
    with AuditLog.open(closed) as log:
        log.append(AuditEvent(EventKind.GUARD, "run", sensitive={"a": 1}))
    (closed / "sealed.sqlite").write_bytes(b"not a database, but long enough to look at" * 100)
    report = verify(closed)
    assert not report.ok
    assert report.commitments.withheld == 1
    with pytest.raises(AuditDamaged, match="side store"):
        AuditLog.open(closed)
    with pytest.raises(AuditError, match="side store"):
        tail(closed, 1)


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE sealed SET value = '5'", "does not fit"),
        ("UPDATE sealed SET value = x'35'", "does not fit"),
        ("UPDATE sealed SET salt = x'00'", "does not fit"),
        ("UPDATE sealed SET record = 7", "does not fit"),
        ("DELETE FROM sealed", "missing"),
        ("UPDATE sealed SET salt = NULL, value = NULL, erased_by = 0", "missing"),
    ],
)
def test_side_store_values_must_fit_their_commitments(
    directory: Path, statement: str, what: str
) -> None:
    with AuditLog.open(directory) as log:
        log.append(AuditEvent(EventKind.GUARD, "run", sensitive={"name": "Berg"}))
    with sqlite3.connect(directory / "sealed.sqlite") as connection:
        connection.execute(statement)
    connection.close()
    report = verify(directory)
    [problem] = report.problems
    assert problem.index == 0
    assert what in problem.what
