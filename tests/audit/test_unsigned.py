"""Records that nobody has signed for: the chain alone has no key, so anybody could write it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from agentkit.audit import AuditEvent, AuditLog, EventKind, read_events, show, tail, verify
from agentkit.audit.frames import frame
from agentkit.audit.merkle import leaf_hash
from agentkit.audit.notebook import read_notes
from agentkit.audit.record import Draft
from agentkit.audit.segment import read_header
from agentkit.errors import AuditDamaged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def answer(number: int, *, approved: bool) -> AuditEvent:
    return AuditEvent(EventKind.APPROVAL, "r", 1, f"c{number}", {"approved": approved})


def forge(directory: Path, count: int) -> None:
    """Write ``count`` records that fit the log's header: a chain without holes takes no key."""
    segment = directory / "segment-00000000.log"
    with segment.open("rb") as stream:
        header, offset = read_header(stream)
    content, prev = segment.read_bytes()[:offset], header.digest().hex()
    for index in range(count):
        draft = Draft.of(answer(index, approved=True))
        payload = draft.spell(index, prev, "2026-01-01T00:00:00.000000Z")
        prev = leaf_hash(payload).hex()
        content += frame(payload)
    segment.write_bytes(content)


def keep_first_note(directory: Path) -> None:
    file = directory / "checkpoints"
    file.write_text(file.read_text().partition("\n\n\n")[0] + "\n\n\n")


@pytest.fixture
def line(directory: Path) -> str:
    """Return the public key of a closed log of three records."""
    with AuditLog.open(directory) as log:
        for number in range(3):
            log.append(answer(number, approved=False))
        return log.public_key


@pytest.mark.parametrize("left", [None, b"", b"agentkit-audit/", b"\n\n\n"])
def test_records_without_any_checkpoint_are_damage(
    directory: Path, line: str, left: bytes | None
) -> None:
    forge(directory, 3)
    (directory / "checkpoints").unlink()
    if left is not None:
        (directory / "checkpoints").write_bytes(left)
    report = verify(directory, public_key=line)
    [problem] = report.problems
    assert "checkpoint" in problem.what
    assert report.unsigned_events == report.events == 3
    readers: list[Callable[[], object]] = [
        lambda: AuditLog.open(directory),
        lambda: AuditLog.open(directory, read_only=True),
        lambda: list(read_events(directory)),
        lambda: tail(directory, 1),
        lambda: show(directory, index=0),
    ]
    for read in readers:
        with pytest.raises(AuditDamaged, match="checkpoint"):
            read()


def test_an_unreadable_notebook_is_told_once(directory: Path, line: str) -> None:
    (directory / "checkpoints").unlink()
    (directory / "checkpoints").mkdir()
    [problem] = verify(directory, public_key=line).problems
    assert "unreadable" in problem.what


def test_what_stands_behind_the_last_checkpoint_is_told_and_recorded_for_ever(
    directory: Path, line: str
) -> None:
    """With the first note left, an attacker can pass for a crash, but not for a signature."""
    forge(directory, 4)
    keep_first_note(directory)
    report = verify(directory, public_key=line)
    assert report.ok
    assert (report.signed_events, report.unsigned_events) == (0, 4)
    assert report.as_dict()["unsigned_events"] == 4
    AuditLog.open(directory, read_only=True).close()
    with AuditLog.open(directory, checkpoint_events=1) as log:
        log.append(answer(5, approved=False))
    AuditLog.open(directory).close()
    report = verify(directory, public_key=line)
    assert report.ok
    assert report.unsigned_events == 0
    assert report.recoveries == (4,)
    [recovery] = show(directory, index=4)
    assert recovery.record.body == {"unsigned_first": 0, "unsigned_last": 3}


def test_only_the_records_behind_the_checkpoint_are_named(directory: Path, line: str) -> None:
    with AuditLog.open(directory) as log:
        log.append(answer(3, approved=False))
        log.append(answer(4, approved=False))
        copy = directory.with_name("copy")
        shutil.copytree(directory, copy)
    AuditLog.open(copy, key=directory.with_name("log.key")).close()
    assert tail(copy, 1)[0].record.body == {"unsigned_first": 3, "unsigned_last": 4}


def test_an_opening_that_is_cut_short_signs_for_nothing(
    directory: Path, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_first_note(directory)

    def interrupted(self: AuditLog, event: AuditEvent) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(AuditLog, "append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            AuditLog.open(directory)
    assert verify(directory).signed_events == 0
    AuditLog.open(directory).close()
    assert verify(directory).recoveries == (3,)


def test_a_log_is_signed_for_before_its_first_record(directory: Path) -> None:
    with AuditLog.open(directory) as log:
        [note] = read_notes(directory).notes
        report = verify(directory, public_key=log.public_key, checkpoint=note)
        assert report.ok
        assert report.checkpoints == 0
        log.append(answer(0, approved=False))
        assert verify(directory).unsigned_events == 1
    assert verify(directory).checkpoints == 1
    assert verify(directory).recoveries == ()


@pytest.mark.parametrize("left", [None, 0, 5])
def test_a_crash_before_the_first_note_leaves_a_log_that_opens(
    directory: Path, left: int | None
) -> None:
    AuditLog.open(directory).close()
    file = directory / "checkpoints"
    content = file.read_bytes()
    file.unlink()
    if left is not None:
        file.write_bytes(content[:left])
    assert verify(directory).ok
    AuditLog.open(directory).close()
    assert file.read_bytes() == content
    assert verify(directory).events == 0


def test_signed_records_that_are_gone_are_told_by_every_reader(directory: Path, line: str) -> None:
    forge(directory, 0)
    readers: list[Callable[[], object]] = [
        lambda: list(read_events(directory)),
        lambda: tail(directory, 9),
        lambda: show(directory, run_id="r"),
    ]
    for read in readers:
        with pytest.raises(AuditDamaged, match="records are gone"):
            read()


def test_a_log_that_is_begun_while_it_is_read_is_no_damage(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agentkit.audit import survey  # noqa: PLC0415  # used here only

    looks = []

    def at_first_nothing(path: Path) -> object:
        looks.append(path)
        there = read_notes(path)
        return type(there)((), 0, 0) if len(looks) == 1 else there

    with AuditLog.open(directory) as log:
        log.append(answer(0, approved=False))
        monkeypatch.setattr(survey, "read_notes", at_first_nothing)
        assert verify(directory).ok
    assert len(looks) == 2
