"""What the gate says of a call: one ``Decision`` with its rule, its reason and its evidence.

Decisions compose: the most restrictive wins, the first among equals.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkit.labels import Label
    from agentkit.messages import JsonObject

__all__ = ["Decision", "Evidence", "Outcome", "Ruling"]


class Outcome(StrEnum):
    """What happens to the call, from mildest to most restrictive."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


_ORDER = {outcome: rank for rank, outcome in enumerate(Outcome)}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One fact behind a decision: the argument's path, its value (shortened), where it is from.

    ``origin``: the same for people to read. ``call_id`` and ``span`` (start and end in that call's
    result text): the place it was found in, where it was. ``label``: the value's own.
    """

    path: str
    value: str
    origin: str
    call_id: str = ""
    span: tuple[int, int] | None = None
    label: Label | None = None

    def to_json(self) -> JsonObject:
        """Return the fact as the audit log keeps it; the value itself stays out of it."""
        body: JsonObject = {"path": self.path, "origin": self.origin}
        if self.call_id:
            body["call_id"] = self.call_id
        if self.span is not None:
            body["span"] = [*self.span]
        if self.label is not None:
            body["integrity"] = self.label.integrity.value
        return body


@dataclass(frozen=True, slots=True)
class Decision:
    """One check's word over one call.

    ``rule``: the check's id (``schema``, ``provenance`` ...). ``reason``: one sentence. ``cure``:
    what would change the decision, given with every ask and deny.
    """

    outcome: Outcome
    rule: str
    reason: str = ""
    cure: str = ""
    evidence: tuple[Evidence, ...] = ()

    def to_json(self) -> JsonObject:
        """Return the decision as the audit log keeps it; values of arguments stay out of it."""
        return {
            "outcome": self.outcome.value,
            "rule": self.rule,
            "evidence": [item.to_json() for item in self.evidence],
        }


@dataclass(frozen=True, slots=True)
class Ruling:
    """All checks' decisions over one call, in order; ``final`` is the one that counts."""

    trail: tuple[Decision, ...]

    @property
    def final(self) -> Decision:
        """The most restrictive decision; an empty trail denies."""
        if not self.trail:
            return Decision(Outcome.DENY, "gate", "no check spoke", "report this as a defect")
        return max(self.trail, key=lambda decision: _ORDER[decision.outcome])

    @property
    def allowed(self) -> bool:
        """Whether the call may run without asking anybody."""
        return self.final.outcome is Outcome.ALLOW


def rules_of(trail: Sequence[Decision]) -> list[str]:
    """Return ``rule=outcome`` of each decision, in order."""
    return [f"{decision.rule}={decision.outcome}" for decision in trail]
