"""How a request stands: its signed statements weighed against the keys that are trusted now.

Everything is verified again each time, from the bytes that were signed; one statement that does
not verify means that somebody wrote into the store, and denies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentkit.messages import JsonObject
    from agentkit.planner.approvals.binding import Binding
    from agentkit.planner.approvals.keys import TrustedApprover
    from agentkit.planner.approvals.statement import SignedStatement

__all__ = ["SKEW_MS", "OpenRequest", "Standing", "weigh"]

SKEW_MS = 1000
"""How far clocks may be apart, or a step of the time service may go back, in milliseconds."""


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A request as the store holds it. ``decision``: rule, reason, cure and evidence as JSON."""

    request_id: str
    binding: Binding
    arguments: JsonObject
    decision: JsonObject
    persons: int
    asked_ms: int
    asked_uptime_ms: int
    expires_ms: int
    redeemed_ms: int | None
    voided: str
    given: tuple[tuple[str, SignedStatement], ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """What the statements so far come to.

    ``people``: who said yes (or the one who said no). ``why``: for the audit and the model.
    ``statements``: digests of what was weighed. ``is_signed``: by keys the operator trusts.
    """

    state: Literal["waiting", "approved", "changed", "denied", "used"]
    people: tuple[str, ...] = ()
    why: str = ""
    changed: JsonObject | None = None
    statements: tuple[str, ...] = ()
    is_signed: bool = True


def weigh(
    request: OpenRequest, key_of: Callable[[str], TrustedApprover | None], now_ms: int
) -> Standing:
    """Return how ``request`` stands at ``now_ms``; ``key_of`` finds an approver's trusted key."""
    yes: dict[str, str] = {}
    said = ""
    changes: list[tuple[str, JsonObject]] = []
    for approver, signed in request.given:
        trusted = key_of(approver)
        if trusted is None:
            return _denied(f"{approver} is no trusted approver of this agent")
        try:
            statement = signed.verified(trusted.key)
        except ValueError as error:
            return _denied(f"the decision in {approver}'s name is not theirs: {error}")
        if statement.request_id != request.request_id or statement.binding != request.binding:
            return _denied(f"the decision of {approver} is for another call")
        if statement.expires_ms != request.expires_ms or statement.issued_ms > now_ms + SKEW_MS:
            return _denied(f"the times of {approver}'s decision do not fit the request")
        if statement.word == "deny":
            comment = f": {statement.comment}" if statement.comment else ""
            return _denied(f"{approver} said no{comment}", (approver,), request.given)
        said += f" {statement.comment}"
        if statement.changed is not None:
            changes.append((approver, statement.changed))
        else:
            yes.setdefault(trusted.who, approver)
    digests = tuple(signed.sha256 for _, signed in request.given)
    if changes:
        approver, changed = changes[0]
        return Standing("changed", (approver,), said.strip(), changed, digests)
    if len(yes) < request.persons:
        return Standing("waiting", tuple(yes.values()), statements=digests)
    return Standing("approved", tuple(yes.values()), said.strip(), statements=digests)


def _denied(
    why: str,
    people: tuple[str, ...] = (),
    given: Sequence[tuple[str, SignedStatement]] = (),
) -> Standing:
    return Standing("denied", people, why, statements=tuple(one.sha256 for _, one in given))
