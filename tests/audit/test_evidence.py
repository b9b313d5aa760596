from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from agentkit.audit import AuditEvent, AuditLog, EventKind, Evidence, check_evidence, prove, show
from agentkit.audit.canonical import canonical_json
from agentkit.errors import AuditDamaged, AuditError

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 11


@pytest.fixture
def line(directory: Path, tmp_path: Path) -> str:
    """Return the public key of a log of eleven records, the last of them not signed for."""
    with AuditLog.open(tmp_path / "live", segment_bytes=1500) as log:
        for number in range(COUNT - 1):
            log.append(AuditEvent(EventKind.DECISION, "r", number, body={"secret of": number}))
        log.checkpoint()
        log.append(AuditEvent(EventKind.DECISION, "r", COUNT, body={"odd": [10**20, "\ud800"]}))
        shutil.copytree(log.path, directory)
        return log.public_key


@pytest.mark.parametrize("index", range(COUNT - 1))
def test_one_record_is_proved_and_no_other_is_shown(directory: Path, line: str, index: int) -> None:
    handed_over = json.dumps(prove(directory, index).as_dict())
    record = check_evidence(Evidence.from_dict(json.loads(handed_over)), line)
    assert record == show(directory, index=index)[0].record
    assert handed_over.count("secret of") == 1


def test_nothing_else_passes(directory: Path, line: str, tmp_path: Path) -> None:
    evidence = prove(directory, 4)
    other = prove(directory, 5)
    with AuditLog.open(tmp_path / "other") as log:
        log.append(AuditEvent(EventKind.DECISION, "r"))
        other_line, other_note = log.public_key, log.checkpoint()
    forged = evidence.record.replace(b'"turn":4', b'"turn":5')
    for lie, key in (
        (Evidence(forged, evidence.proof, evidence.checkpoint), line),
        (Evidence(evidence.record, other.proof, evidence.checkpoint), line),
        (Evidence(evidence.record, evidence.proof[1:], evidence.checkpoint), line),
        (Evidence(evidence.record, evidence.proof, other_note), line),
        (Evidence(evidence.record, evidence.proof, other_note), other_line),
        (Evidence(b"{}", evidence.proof, evidence.checkpoint), line),
        (evidence, "no key"),
        (evidence, other_line),
    ):
        with pytest.raises(ValueError):  # noqa: PT011  # any reason will do
            check_evidence(lie, key)


@pytest.mark.parametrize(
    "data", [{}, {"record": 1}, {"record": "x", "proof": ["zz"], "checkpoint": "x"}]
)
def test_what_is_no_bundle(data: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # any reason will do
        Evidence.from_dict(data)


def test_what_cannot_be_proved_is_said(directory: Path, line: str) -> None:
    with pytest.raises(AuditError, match="checkpoint") as caught:
        prove(directory, COUNT - 1)
    assert caught.value.cure
    with pytest.raises(AuditError, match="no record 99"):
        prove(directory, 99)
    segment = directory / "segment-00000000.log"
    segment.write_bytes(segment.read_bytes().replace(b"secret of", b"secret in"))
    with pytest.raises(AuditDamaged):
        prove(directory, 0)


def test_the_note_in_the_bundle_is_the_one_that_was_proved_under(
    directory: Path, line: str
) -> None:
    """Whatever order the notes stand in: any of them may be cut out and pasted back by hand."""
    file = directory / "checkpoints"
    first, last = file.read_text().split("\n\n\n")[:-1]
    file.write_text(f"{last}\n\n\n{first}\n\n\n")
    assert check_evidence(prove(directory, 3), line).index == 3


def test_a_record_spells_its_own_bytes(directory: Path, line: str) -> None:
    [entry] = show(directory, index=COUNT - 1)
    content = b"".join(path.read_bytes() for path in directory.glob("segment-*.log"))
    assert entry.record.payload() in content
    assert canonical_json(entry.record.body) in content
