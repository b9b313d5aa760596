"""What one rule says: one ``Finding``, with the clause it rests on and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Finding", "Outcome", "most_restrictive"]


class Outcome(StrEnum):
    """What a clause says to a deployment, from mildest to most restrictive.

    ``record``: worth keeping, decides nothing (also: the clause does not apply, and why).
    ``allow``: the clause was tested and permits. ``review``: a named person must decide; denied
    until then. ``deny``: not permitted, whoever signs.
    """

    RECORD = "record"
    ALLOW = "allow"
    REVIEW = "review"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule's answer.

    ``rule``: our id (``llama.eu_multimodal``). ``clause``: the text it rests on (``Llama 4
    Acceptable Use Policy, closing paragraph``). ``cure``: what to change or state; never empty
    where the outcome is review or deny. ``reviewer``: who turned a review into an allow.
    """

    rule: str
    clause: str
    outcome: Outcome
    reason: str
    cure: str = ""
    reviewer: str = ""


_ORDER = {outcome: rank for rank, outcome in enumerate(Outcome)}


def most_restrictive(findings: Iterable[Finding]) -> Outcome:
    """Return the most restrictive outcome: allow, review or deny; no finding at all denies.

    A record decides nothing, so records alone allow.
    """
    outcomes = [finding.outcome for finding in findings]
    if not outcomes:
        return Outcome.DENY
    return max(*outcomes, Outcome.ALLOW, key=_ORDER.__getitem__)
