"""Damage to the store of sensitive values beside the log."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from agentkit.audit import AuditEvent, AuditLog, EventKind, erase, tail, verify
from agentkit.audit.sealed import SealedRow, SideStore
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
        ("UPDATE sealed SET salt = NULL, value = NULL, erased_by = 99", "missing"),
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


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE sealed SET erased_by = 'x'",
        "UPDATE sealed SET erased_by = x'00'",
        "UPDATE sealed SET erased_by = 0.5",
        "UPDATE sealed SET record = 'x'",
    ],
)
def test_a_row_of_other_types_is_a_problem_and_raises_nothing_else(
    directory: Path, statement: str
) -> None:
    with AuditLog.open(directory) as log:
        log.append(AuditEvent(EventKind.GUARD, "run", sensitive={"name": "Berg"}))
    with sqlite3.connect(directory / "sealed.sqlite") as connection:
        connection.execute(statement)
    connection.close()
    [problem] = verify(directory).problems
    assert "side store" in problem.what
    with pytest.raises(AuditDamaged, match="side store"):
        tail(directory, 1)


def test_a_value_that_is_erased_while_the_log_is_verified_is_no_problem(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The erasure's record stands in a segment that was not there when the first pass began."""
    find = SideStore.find
    with AuditLog.open(directory, segment_bytes=1) as log:
        log.append(AuditEvent(EventKind.GUARD, "run", sensitive={"name": "Berg"}))

        def erased_first(store: SideStore, commitment: str) -> SealedRow | None:
            if log.size == 1:
                erase(log, index=0, reason="request")
            return find(store, commitment)

        monkeypatch.setattr(SideStore, "find", erased_first)
        report = verify(directory)
    assert report.ok, report.problems
    assert report.commitments.erased == report.events == 1
