"""What is recorded: one frozen event, of a closed set of kinds."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentkit.messages import JsonObject, JsonValue

__all__ = ["AuditEvent", "EventKind", "Receipt"]


class EventKind(StrEnum):
    """What can happen. A log with any other kind does not verify."""

    STARTUP = "startup"  # a startup rule was checked, or the assistant is ready
    REFUSAL = "refusal"  # a startup rule forbade running
    TURN_STARTED = "turn_started"
    GUARD = "guard"  # a detector's verdict over one text
    DECISION = "decision"  # the gate's decision over one call
    APPROVAL = "approval"  # a person's answer, bound to the arguments' digest
    INTENT = "intent"  # a side effect is about to start
    OUTCOME = "outcome"  # how it ended; same run and call id as its intent
    EXECUTION = "execution"  # code ran in a sandbox: how it ended, and what it used
    EGRESS = "egress"  # code in a sandbox asked for a server: refused, opened, or closed
    MODEL = "model"  # a model was asked, or answered
    ANSWER = "answer"
    TURN_ENDED = "turn_ended"
    RECOVERY = "recovery"  # opening the log cut a torn tail, or found records unsigned
    CHECKPOINT = "checkpoint"  # a signed checkpoint was handed to somebody outside
    ERASURE = "erasure"  # sensitive plaintext was erased; the commitments stay


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One thing that happened.

    ``body`` stands in the log in plain text for ever. ``sensitive``: name → value; the log holds
    only a salted commitment of each, the plaintext is kept beside it and can be erased. Put what
    must stay provable (tool, digest of the arguments, approver, policy version) into ``body``,
    and personal data into ``sensitive``. A bare digest of one of few possible values, such
    as a telephone number, can be guessed back; the commitment of a sensitive value cannot.
    """

    kind: EventKind
    run_id: str
    turn: int = 0
    call_id: str = ""
    body: JsonObject = field(default_factory=dict)
    sensitive: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof for the caller that an event is on disk: its position and its leaf hash (hex)."""

    index: int
    leaf_hash: str
