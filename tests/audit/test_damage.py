from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentkit.audit import AuditEvent, AuditLog, EventKind, read_events, tail, verify
from agentkit.audit.frames import Frame, frame, read_frames
from agentkit.audit.segment import read_header
from agentkit.errors import AuditDamaged, AuditError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def snapshot(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir()) if path.is_file()}


def hashes(directory: Path) -> list[str]:
    return [entry.record.leaf_hash for entry in read_events(directory)]


@pytest.fixture
def closed(directory: Path) -> Path:
    """A closed log of five records in three segments, signed to its end."""
    with AuditLog.open(directory, segment_bytes=700) as log:
        for number in range(5):
            log.append(AuditEvent(EventKind.GUARD, "run", number, body={"number": number}))
    assert len(list(directory.glob("segment-*"))) == 3
    return directory


@pytest.fixture
def crashed(directory: Path, tmp_path: Path) -> Path:
    """What a crash leaves: five records in one segment, none of them signed yet."""
    copy = tmp_path / "crashed"
    with AuditLog.open(directory) as log:
        for number in range(5):
            log.append(AuditEvent(EventKind.INTENT, "run", 1, f"c{number}", {"number": number}))
        shutil.copytree(directory, copy)
    shutil.copy(tmp_path / "log.key", tmp_path / "crashed.key")
    return copy


def notes(directory: Path) -> list[str]:
    """Return each stored note with the blank lines behind it."""
    text = (directory / "checkpoints").read_text()
    return [f"{note}\n\n\n" for note in text.split("\n\n\n")[:-1]]


def split(segment: Path) -> tuple[bytes, list[bytes]]:
    """Return the header's bytes and each record's payload."""
    with segment.open("rb") as stream:
        _, offset = read_header(stream)
        found = list(read_frames(stream, offset))
    payloads = [item.payload for item in found if isinstance(item, Frame)]
    assert len(payloads) == len(found)
    return segment.read_bytes()[:offset], payloads


def test_no_flipped_byte_of_a_closed_log_goes_unseen(closed: Path) -> None:
    for segment in sorted(closed.glob("segment-*.log")):
        content = segment.read_bytes()
        for place in range(len(content)):
            changed = bytearray(content)
            changed[place] ^= 1 << place % 8
            segment.write_bytes(changed)
            report = verify(closed)
            assert report.problems, (segment.name, place)
            assert not report.ok
        segment.write_bytes(content)
    assert verify(closed).ok


def test_no_flipped_byte_of_an_unsigned_log_passes_for_other_content(crashed: Path) -> None:
    [segment] = crashed.glob("segment-*.log")
    content, before = segment.read_bytes(), hashes(crashed)
    torn = 0
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 0x40
        segment.write_bytes(changed)
        report = verify(crashed)
        if report.ok:
            # Only the last record may be taken for torn; what stands before it is untouched.
            assert report.torn_bytes > 0, place
            assert report.events == 4
            assert hashes(crashed) == before[:4]
            torn += 1
        else:
            with pytest.raises(AuditDamaged):
                AuditLog.open(crashed, read_only=True)
    segment.write_bytes(content)
    last_frame = len(split(segment)[1][-1]) + 8
    assert 0 < torn <= last_frame


def test_a_writer_changes_nothing_of_a_damaged_log(closed: Path) -> None:
    segment = closed / "segment-00000001.log"
    changed = bytearray(segment.read_bytes())
    changed[-20] ^= 1
    segment.write_bytes(changed)
    before = snapshot(closed)
    with pytest.raises(AuditDamaged) as caught:
        AuditLog.open(closed)
    assert snapshot(closed) == before
    assert "segment-00000001.log:" in caught.value.place
    assert "verify" in caught.value.cure
    with pytest.raises(AuditDamaged):
        tail(closed, 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found[:2] + found[3:],
        lambda found: found[1:],
        lambda found: [found[0], found[2], found[1], *found[3:]],
        lambda found: [found[0], found[0], *found[1:]],
        lambda found: [*found, found[-1]],
        lambda found: [*found[:2], b'{"body":{}}', *found[2:]],
        lambda found: [*found[:2], b"not json", *found[2:]],
        lambda found: [*found, found[-1].replace(b'"index":4', b'"index":5')],
        lambda found: [*found[:4], found[4].replace(b'"kind":"intent"', b'"kind":"hearsay"')],
        lambda found: [*found[:4], found[4].replace(b'"turn":1', b'"turn":1.0')],
        lambda found: [*found[:4], found[4].replace(b'"turn":1', b'"turn":-1')],
        lambda found: [*found[:4], found[4].replace(b'"turn":1', b'"turn":true')],
        lambda found: [*found[:4], found[4][:-1] + b" }"],
        lambda found: [*found[:4], found[4].replace(b'"run":"run",', b"")],
    ],
)
def test_removed_moved_and_slipped_in_records(
    crashed: Path, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    """With right CRCs and without any checkpoint: the chain alone must tell."""
    [segment] = crashed.glob("segment-*.log")
    header, payloads = split(segment)
    changed = change(payloads)
    assert changed != payloads
    segment.write_bytes(header + b"".join(map(frame, changed)))
    report = verify(crashed)
    assert not report.ok
    assert report.problems[0].offset > 0
    with pytest.raises(AuditDamaged):
        AuditLog.open(crashed)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"first":5', b'"first":6'),
        (b'"first":5', b'"first":-5'),
        (b'"first":5', b'"first":"5"'),
        (b'"format":1', b'"format":2'),
        (b'"format":1', b'"format":true'),
        (b'"segment":1', b'"segment":2'),
        (b'"log":"', b'"log":"0'),
        (b'"prev":"', b'"prev":"0'),
        (b'"root":"', b'"root":"0'),
        (b'"key":"', b'"key":"x'),
        (b'"log":', b'"lag":'),
    ],
)
def test_a_changed_header_even_of_a_segment_without_records(
    crashed: Path, old: bytes, new: bytes
) -> None:
    [first] = notes(crashed)
    AuditLog.open(crashed, segment_bytes=1).close()
    (crashed / "checkpoints").write_text(first)
    segment = crashed / "segment-00000001.log"
    header = split(segment)[0]
    magic = header[: header.index(b"\n") + 1]
    payload = header[len(magic) + 8 :]
    segment.write_bytes(magic + frame(payload))
    assert verify(crashed).ok
    assert old in payload
    segment.write_bytes(magic + frame(payload.replace(old, new, 1)))
    assert not verify(crashed).ok
    with pytest.raises(AuditDamaged):
        AuditLog.open(crashed)


@pytest.mark.parametrize("number", [0, 1])
def test_a_missing_segment(closed: Path, number: int) -> None:
    (closed / f"segment-0000000{number}.log").unlink()
    report = verify(closed)
    assert any(f"segment {number} is missing" in problem.what for problem in report.problems)
    with pytest.raises(AuditDamaged):
        AuditLog.open(closed)


def test_swapped_segments(closed: Path) -> None:
    first, second = closed / "segment-00000001.log", closed / "segment-00000002.log"
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    assert not verify(closed).ok
    with pytest.raises(AuditDamaged):
        AuditLog.open(closed)


def test_signed_records_cannot_vanish_from_the_end(closed: Path) -> None:
    first, note = notes(closed)
    last = closed / "segment-00000002.log"
    header, payloads = split(last)
    last.write_bytes(header + b"".join(map(frame, payloads[:-1])))
    report = verify(closed)
    assert any("records are gone" in problem.what for problem in report.problems)
    with pytest.raises(AuditDamaged, match="gone"):
        AuditLog.open(closed)
    # Where the stored checkpoint vanishes too, the log looks whole, but not signed for; the
    # checkpoint that was given away tells.
    (closed / "checkpoints").write_text(first)
    assert verify(closed).ok
    assert verify(closed).unsigned_events == 4
    assert not verify(closed, checkpoint=note.removesuffix("\n\n")).ok


def test_the_tail_torn_at_every_byte(crashed: Path, tmp_path: Path) -> None:
    [segment] = crashed.glob("segment-*.log")
    content, before = segment.read_bytes(), hashes(crashed)
    header, payloads = split(segment)
    ends = [len(header)]
    for payload in payloads:
        ends.append(ends[-1] + 8 + len(payload))
    # Every byte of the last record; of the others, which are alike, every seventeenth.
    cuts = [*range(len(header), ends[-2], 17), *range(ends[-2], len(content))]
    for cut in cuts:
        for filling in (b"", b"\0" * 40) if cut % 19 == 0 else (b"",):
            copy = tmp_path / "torn"
            shutil.copytree(crashed, copy)
            (copy / segment.name).write_bytes(content[:cut] + filling)
            shutil.copy(tmp_path / "crashed.key", tmp_path / "torn.key")
            whole = sum(end <= cut for end in ends[1:])
            torn = cut - max(end for end in ends if end <= cut) + len(filling)
            assert verify(copy).torn_bytes == torn
            assert verify(copy).ok
            with AuditLog.open(copy) as log:
                assert log.size == whole + (whole > 0) + (torn > 0)
                assert log.append(AuditEvent(EventKind.GUARD, "run")).index == log.size - 1
            assert hashes(copy)[:whole] == before[:whole]
            report = verify(copy)
            assert report.ok, report.problems
            assert report.torn_bytes == 0
            assert len(report.recoveries) == (whole > 0) + (torn > 0)
            if torn:
                recovery = next(
                    entry.record
                    for entry in read_events(copy)
                    if entry.record.kind is EventKind.RECOVERY and "kept_as" in entry.record.body
                )
                assert recovery.index == whole + (whole > 0)
                assert recovery.body["bytes_cut"] == torn
                kept = (copy / str(recovery.body["kept_as"])).read_bytes()
                assert kept == content[cut - torn + len(filling) : cut] + filling
            shutil.rmtree(copy)


def test_a_recovery_that_a_crash_interrupted_is_logged_by_the_next(
    crashed: Path, tmp_path: Path
) -> None:
    [segment] = crashed.glob("segment-*.log")
    segment.write_bytes(segment.read_bytes()[:-3])
    whole = tmp_path / "before"
    shutil.copytree(crashed, whole)
    AuditLog.open(crashed).close()
    [kept] = crashed.glob("torn-*.bin")
    # The tail was cut and kept, and then the power went before anything was logged.
    shutil.copy(kept, whole)
    (whole / segment.name).write_bytes(split(segment)[0] + b"".join(
        map(frame, split(segment)[1][:4])
    ))  # fmt: skip
    shutil.copy(tmp_path / "crashed.key", tmp_path / "before.key")
    for _ in range(2):
        AuditLog.open(whole).close()
        assert verify(whole).recoveries == (4, 5)
    assert "kept_as" in tail(whole, 1)[0].record.body


@pytest.mark.parametrize("cut", range(0, 200, 7))
def test_half_a_header_is_damage(crashed: Path, cut: int) -> None:
    """A header is complete before its file becomes part of the log, so no crash halves it."""
    [segment] = crashed.glob("segment-*.log")
    segment.write_bytes(segment.read_bytes()[:cut])
    assert not verify(crashed).ok
    with pytest.raises(AuditDamaged):
        AuditLog.open(crashed)


def test_junk_behind_an_altered_last_record_is_no_torn_write(crashed: Path) -> None:
    [segment] = crashed.glob("segment-*.log")
    header, payloads = split(segment)
    altered = header + b"".join(map(frame, payloads[:-1])) + frame(payloads[-1])[:-1] + b"?"
    segment.write_bytes(altered + b"more")
    assert not verify(crashed).ok
    with pytest.raises(AuditDamaged):
        AuditLog.open(crashed)


@pytest.mark.parametrize("junk", [b"\xff" * 20, b"junk behind the end", b"\0" * 8 + b"x"])
def test_junk_behind_the_end_is_no_torn_write(crashed: Path, junk: bytes) -> None:
    [segment] = crashed.glob("segment-*.log")
    segment.write_bytes(segment.read_bytes() + junk)
    assert not verify(crashed).ok
    with pytest.raises(AuditDamaged):
        AuditLog.open(crashed)


def test_a_torn_segment_that_was_never_part_of_the_log_is_replaced(closed: Path) -> None:
    (closed / "segment-00000003.new").write_bytes(b"half a head")
    assert verify(closed).ok
    with AuditLog.open(closed, segment_bytes=1) as log:
        log.append(AuditEvent(EventKind.GUARD, "run"))
    assert verify(closed).ok
    assert not list(closed.glob("*.new"))


def test_no_flipped_byte_of_the_checkpoints_goes_unseen(closed: Path) -> None:
    file = closed / "checkpoints"
    content, first = file.read_bytes(), len(notes(closed)[0].encode())
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        file.write_bytes(changed)
        report = verify(closed)
        assert not report.ok or report.torn_bytes > 0, place
        if report.ok:
            assert report.checkpoints == 0
    for cut in range(0, len(content), 9):
        file.write_bytes(content[:cut])
        if cut < first:
            assert not verify(closed).ok
            with pytest.raises(AuditDamaged, match="began with is gone"):
                AuditLog.open(closed)
            continue
        size = verify(closed).events
        AuditLog.open(closed).close()
        assert verify(closed).signed_events == size + 1
        assert verify(closed).torn_bytes == 0


def test_a_checkpoint_signed_by_another_key_is_a_problem(closed: Path, tmp_path: Path) -> None:
    with AuditLog.open(tmp_path / "other") as other:
        other.append(AuditEvent(EventKind.GUARD, "run"))
        note, line = other.checkpoint(), other.public_key
    assert not verify(closed, checkpoint=note).ok
    assert not verify(closed, public_key=line).ok
    assert not verify(closed, public_key="no key").ok
    assert not verify(closed, checkpoint="no note").ok
    assert not verify(closed, checkpoint="\ud800").ok


@given(st.lists(st.tuples(st.integers(0), st.binary(max_size=30)), min_size=1, max_size=3))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_content_makes_verification_raise(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, bytes]]
) -> None:
    directory = tmp_path_factory.mktemp("noise") / "log"
    with AuditLog.open(directory, segment_bytes=700) as log:
        for number in range(5):
            log.append(AuditEvent(EventKind.GUARD, "r", number, sensitive={"a": number}))
    for place, noise in changes:
        for path in sorted(directory.iterdir()):
            content = bytearray(path.read_bytes())
            at = place % (len(content) + 1)
            content[at : at + len(noise)] = noise
            path.write_bytes(content)
    report = verify(directory)
    assert report.as_dict()["events"] == report.events
    try:
        AuditLog.open(directory, read_only=True)
    except AuditError:
        return
    assert not [problem for problem in report.problems if problem.segment >= 0]
