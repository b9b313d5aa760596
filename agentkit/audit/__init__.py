"""What happened, provably: an append-only, hash-chained, signed log that convinces an outsider."""

from agentkit.audit.canonical import canonical_json, digest
from agentkit.audit.event import AuditEvent, EventKind, Receipt
from agentkit.audit.evidence import Evidence, check_evidence, prove
from agentkit.audit.log import AuditLog
from agentkit.audit.read import Entry, erase, read_events, show, tail
from agentkit.audit.record import Record
from agentkit.audit.verify import CommitmentCount, VerificationReport, verify
from agentkit.audit.walk import Problem

__all__ = [
    "AuditEvent",
    "AuditLog",
    "CommitmentCount",
    "Entry",
    "EventKind",
    "Evidence",
    "Problem",
    "Receipt",
    "Record",
    "VerificationReport",
    "canonical_json",
    "check_evidence",
    "digest",
    "erase",
    "prove",
    "read_events",
    "show",
    "tail",
    "verify",
]
