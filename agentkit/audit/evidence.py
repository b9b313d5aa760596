"""Evidence of one record, for somebody who must not see the others.

The bundle holds the record's exact bytes, its inclusion proof and a signed checkpoint. With the
verifier line, which was given away before, ``check_evidence`` needs nothing else: no log, no
secret, no trust in whoever hands the bundle over.

What is covered: the record is the one that stands at its index under the signed root.

What is not covered: sensitive values (only their commitments are in the record), and whether the
log had other records that say otherwise; for that, verify the whole log.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypedDict

from agentkit.audit.checkpoint import open_checkpoint
from agentkit.audit.faults import as_audit_errors, damaged
from agentkit.audit.keys import VerifierKey
from agentkit.audit.merkle import inclusion_proof, leaf_hash, verify_inclusion
from agentkit.audit.record import Record, parse_record
from agentkit.audit.survey import Survey
from agentkit.audit.walk import Problem
from agentkit.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Evidence", "EvidenceData", "check_evidence", "prove"]


class EvidenceData(TypedDict):
    """Evidence as plain JSON data."""

    record: str
    proof: list[str]
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """``record``: its canonical bytes. ``proof``: RFC 6962 audit path. ``checkpoint``: the note."""

    record: bytes
    proof: tuple[bytes, ...]
    checkpoint: str

    def as_dict(self) -> EvidenceData:
        """Return the bundle as plain JSON data, to be handed over."""
        return {
            "record": self.record.decode(),
            "proof": [node.hex() for node in self.proof],
            "checkpoint": self.checkpoint,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Self:
        """Return the bundle that ``as_dict`` gave; ValueError where it is none."""
        record, proof, checkpoint = (data.get(name) for name in ("record", "proof", "checkpoint"))
        if (
            not isinstance(record, str)
            or not isinstance(proof, list)
            or not isinstance(checkpoint, str)
        ):
            raise ValueError("not evidence: record, proof or checkpoint is missing")  # noqa: TRY004  # content, not a programming error
        return cls(record.encode(), tuple(bytes.fromhex(str(node)) for node in proof), checkpoint)


def prove(path: Path | str, index: int) -> Evidence:
    """Return evidence of record ``index`` under the last checkpoint of the log in ``path``.

    Raises ``AuditError`` where there is no such record or no checkpoint covers it yet, and
    ``AuditDamaged`` where the log contradicts itself.
    """
    directory = Path(path)
    leaves: list[bytes] = []
    wanted: Record | None = None
    with as_audit_errors(directory):
        survey = Survey(directory)
        for found in survey:
            if isinstance(found, Problem):
                raise damaged(directory, found)
            if isinstance(found, Record):
                leaves.append(bytes.fromhex(found.leaf_hash))
                wanted = found if found.index == index else wanted
    if wanted is None:
        raise AuditError(
            f"there is no record {index}",
            cure=f"the log holds {len(leaves)}, counted from 0",
            place=str(directory),
        )
    if survey.signed <= index:
        raise AuditError(
            f"no signed checkpoint covers record {index} yet",
            cure="close the log, or call AuditLog.checkpoint",
            place=str(directory),
        )
    last = survey.checkpoints[-1]
    proof = inclusion_proof(leaves[: last.size], index)
    return Evidence(wanted.payload(), proof, last.note)


def check_evidence(evidence: Evidence, public_key: str) -> Record:
    """Return the record that ``evidence`` proves; ValueError, saying why, where it does not.

    ``public_key``: the verifier line, from a source other than the bundle's.
    """
    head = open_checkpoint(evidence.checkpoint, VerifierKey.parse(public_key))
    record = parse_record(evidence.record)
    leaf = leaf_hash(evidence.record)
    if not verify_inclusion(leaf, record.index, head.size, evidence.proof, head.root):
        raise ValueError("the record is not under the signed root")
    return record
