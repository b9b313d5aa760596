"""What a peer's audit log got wrong (see docs/audit.md, "Why so")."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from agentkit.audit import AuditEvent, AuditLog, EventKind, digest, verify

if TYPE_CHECKING:
    from pathlib import Path


def event(number: int) -> AuditEvent:
    return AuditEvent(EventKind.GUARD, "run", 1, f"call-{number}", {"number": number})


def test_arguments_approver_and_policy_are_inside_the_leaf(directory: Path) -> None:
    body = {
        "arguments_sha256": digest({"iban": "DE02", "amount": 5}),
        "approver": "a.berg",
        "policy_version": "2026-03",
    }
    with AuditLog.open(directory) as log:
        log.append(AuditEvent(EventKind.APPROVAL, "r", 1, "c", body))  # type: ignore[arg-type]
    [segment] = directory.glob("segment-*.log")
    content = segment.read_bytes()
    for value in body.values():
        at = content.index(value.encode())
        changed = bytearray(content)
        changed[at] ^= 1
        segment.write_bytes(_with_right_crc(bytes(changed)))
        assert not verify(directory).ok
    segment.write_bytes(content)
    assert verify(directory).ok


def test_whoever_verifies_cannot_forge(directory: Path) -> None:
    """Checkpoints verify with no secret at hand: the key file may be gone."""
    with AuditLog.open(directory) as log:
        log.append(event(0))
        line, note = log.public_key, log.checkpoint()
    directory.with_name("log.key").unlink()
    report = verify(directory, public_key=line, checkpoint=note)
    assert report.ok, report.problems
    assert report.key_pinned
    assert "PRIVATE" not in "".join(
        path.read_text("latin-1") for path in directory.iterdir() if path.is_file()
    )


def test_a_log_rewritten_as_a_whole_does_not_fit_what_others_hold(
    directory: Path, tmp_path: Path
) -> None:
    with AuditLog.open(directory) as log:
        log.append(event(1))
        line, note = log.public_key, log.checkpoint()
    key = directory.with_name("log.key")
    with AuditLog.open(tmp_path / "forged", key=key) as forged:
        forged.append(event(2))
    assert verify(tmp_path / "forged").ok
    assert not verify(tmp_path / "forged", public_key=line).ok
    assert not verify(tmp_path / "forged", checkpoint=note).ok


def test_an_attacker_with_the_key_cannot_change_what_a_witness_holds(
    directory: Path, tmp_path: Path
) -> None:
    """Two histories of one log, both signed by its key: the checkpoint kept elsewhere decides."""
    with AuditLog.open(directory) as log:
        log.append(event(0))
    other = tmp_path / "other"
    shutil.copytree(directory, other)
    with AuditLog.open(directory) as log:
        log.append(event(1))
        line, note = log.public_key, log.checkpoint()
        log.append(event(2))
    for count in (1, 2):
        with AuditLog.open(other, key=directory.with_name("log.key")) as log:
            log.append(event(8 + count))
        assert verify(other, public_key=line).ok
        report = verify(other, public_key=line, checkpoint=note)
        assert ["not those of the signed" in problem.what for problem in report.problems] == [True]
    assert verify(directory, public_key=line, checkpoint=note).ok


def _with_right_crc(content: bytes) -> bytes:
    """Spell the only record of a segment with a CRC that fits its content."""
    from agentkit.audit.frames import frame  # noqa: PLC0415  # used here only

    at = content.index(b'{"body":')
    return content[: at - 8] + frame(content[at:])
