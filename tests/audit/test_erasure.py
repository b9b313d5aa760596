from __future__ import annotations

import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest

from agentkit.audit import AuditEvent, AuditLog, EventKind, erase, read_events, show, verify
from agentkit.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "Ada Berg of Uppsala"


def everything(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir() if path.is_file())


@pytest.fixture
def log(directory: Path) -> Iterator[AuditLog]:
    with AuditLog.open(directory) as log:
        log.append(AuditEvent(EventKind.INTENT, "r1", 1, "c1", {"tool": "mail"}, {"to": NAME}))
        log.append(AuditEvent(EventKind.INTENT, "r1", 1, "c2", sensitive={"a": 1, "b": [None]}))
        log.append(AuditEvent(EventKind.INTENT, "r2", 1, "c1", sensitive={"to": NAME}))
        yield log


def test_the_chain_never_holds_what_is_sensitive(log: AuditLog, directory: Path) -> None:
    assert NAME.encode() in everything(directory)
    for segment in directory.glob("segment-*.log"):
        assert NAME.encode() not in segment.read_bytes()
    first, _, third = read_events(directory)
    # The same value twice gives nothing away: each has a salt of its own.
    assert first.record.commitments["to"] != third.record.commitments["to"]


def test_erasing_leaves_the_chain_whole_and_the_plaintext_nowhere(
    log: AuditLog, directory: Path
) -> None:
    note = log.checkpoint()
    receipt = erase(log, run_id="r1", reason="request 2026-17")
    assert receipt.index == 3
    erase(log, run_id="r2", call_id="c1", reason="request 2026-18")
    assert NAME.encode() not in everything(directory)
    report = verify(directory, checkpoint=note)
    assert report.ok, report.problems
    assert report.commitments.erased == 4
    assert report.commitments.opened == 0
    [erased] = show(directory, index=0)
    assert erased.sensitive == {}
    assert erased.gone == ("to",)
    [logged] = show(directory, index=3)
    assert logged.record.kind is EventKind.ERASURE
    assert logged.record.body["reason"] == "request 2026-17"
    assert len(logged.record.body["commitments"]) == 3  # type: ignore[arg-type]
    log.append(AuditEvent(EventKind.GUARD, "r3"))
    log.close()
    assert verify(directory).ok
    assert NAME.encode() not in everything(directory)


def test_only_what_was_named_is_erased(log: AuditLog, directory: Path) -> None:
    erase(log, index=1, reason="request")
    entries = list(read_events(directory))
    assert [entry.sensitive for entry in entries] == [{"to": NAME}, {}, {"to": NAME}, {}]
    assert verify(directory).commitments.opened == 2
    with pytest.raises(AuditError, match="no such entry"):
        erase(log, index=3, reason="nothing sensitive there")
    with pytest.raises(ValueError, match="index"):
        erase(log, reason="nothing named")


def test_an_erasure_that_a_crash_interrupted_is_finished_at_the_next_opening(
    log: AuditLog, directory: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    log.close()
    shutil.copytree(directory, copy)
    shutil.copy(tmp_path / "log.key", tmp_path / "copy.key")
    with AuditLog.open(directory) as again:
        erase(again, index=0, reason="request")
    # The segments know of the erasure; the side store is of the moment before.
    for name in ("segment-00000000.log", "checkpoints"):
        shutil.copy(directory / name, copy / name)
    assert NAME.encode() in (copy / "sealed.sqlite").read_bytes()
    with AuditLog.open(copy):
        [entry] = show(copy, index=0)
        assert entry.gone == ("to",)
    assert verify(copy).ok
    assert verify(copy).commitments.erased == 1


def test_values_whose_record_a_crash_prevented_are_dropped(log: AuditLog, directory: Path) -> None:
    log.close()
    with sqlite3.connect(directory / "sealed.sqlite") as connection:
        connection.execute(
            "INSERT INTO sealed (commitment, record, salt, value) VALUES ('00', 3, x'00', x'00')"
        )
    connection.close()
    assert verify(directory).ok
    with AuditLog.open(directory) as again:
        again.append(AuditEvent(EventKind.GUARD, "r", sensitive={"a": 1}))
    assert verify(directory).commitments.opened == 5
    with sqlite3.connect(directory / "sealed.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM sealed").fetchone() == (5,)
    connection.close()


def test_a_log_verifies_without_its_side_store(log: AuditLog, directory: Path) -> None:
    log.close()
    (directory / "sealed.sqlite").unlink()
    report = verify(directory)
    assert report.ok, report.problems
    assert report.commitments.withheld == 4
    assert next(read_events(directory)).gone == ("to",)


def test_verifying_and_reading_change_nothing(log: AuditLog, directory: Path) -> None:
    log.close()
    before = {path.name: path.stat() for path in directory.iterdir()}
    assert verify(directory).ok
    assert len(list(read_events(directory))) == 3
    AuditLog.open(directory, read_only=True).close()
    after = {path.name: path.stat() for path in directory.iterdir()}
    assert before.keys() == after.keys()
    assert all(before[name].st_mtime_ns == after[name].st_mtime_ns for name in before)


def test_erasing_while_somebody_reads_is_not_claimed_to_be_done(
    log: AuditLog, directory: Path
) -> None:
    reader = sqlite3.connect(directory / "sealed.sqlite", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM sealed").fetchone()
    log._files.store._connection.execute("PRAGMA busy_timeout = 50")  # type: ignore[union-attr]
    with pytest.raises(AuditError, match="not done") as caught:
        erase(log, index=0, reason="request")
    assert "open the log again" in caught.value.cure
    reader.close()
    log.close()
    with AuditLog.open(directory):
        assert show(directory, index=0)[0].gone == ("to",)
    assert verify(directory).ok
    assert everything(directory).count(NAME.encode()) == 1  # the other record's
