"""Asking a person: what is asked, what is answered, and what happens when nobody is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from agentkit.messages import JsonObject
    from agentkit.planner.approvals.binding import Binding
    from agentkit.planner.approvals.statement import SignedStatement
    from agentkit.planner.decision import Decision

__all__ = ["Approval", "ApprovalRequest", "Approver", "LeaveForLater", "NobodyPresent"]


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """One question. ``subject``: the tool's name or the boundary; ``shown``: the canonical
    arguments or the text, exactly what will be used if approved.

    ``arguments``: the same as JSON. ``binding``: what an answer is bound to. ``persons``: how many
    different people must say yes. ``request_id`` and ``expires_ms`` (milliseconds since 1970) are
    given by the store.
    """

    run_id: str
    call_id: str
    subject: str
    shown: str
    decision: Decision
    arguments: JsonObject | None = None
    binding: Binding | None = None
    persons: int = 1
    request_id: str = ""
    expires_ms: int = 0


@dataclass(frozen=True, slots=True)
class Approval:
    """One answer: yes or no, whose it is, and their words.

    ``changed``: yes, but with these arguments; they go through the gate as a new proposal.
    ``deferred``: neither yes nor no; the question stays in the store. ``signed``: the answer as a
    signed statement, from an approver that has a key.
    """

    approved: bool
    approver: str
    comment: str = ""
    changed: JsonObject | None = None
    deferred: bool = False
    signed: SignedStatement | None = None


class Approver(Protocol):
    """Whoever may answer. Raising counts as no."""

    async def decide(self, request: ApprovalRequest) -> Approval:
        """Answer one request."""


class NobodyPresent:
    """The approver of a run without any person: every question is answered no."""

    async def decide(self, request: ApprovalRequest) -> Approval:
        """Refuse."""
        return Approval(
            approved=False,
            approver="",
            comment=f"nobody was present to approve {request.subject}",
        )


class LeaveForLater:
    """The approver of a run that waits: questions stay in the store, the run is suspended."""

    async def decide(self, request: ApprovalRequest) -> Approval:
        """Put the question off."""
        return Approval(
            approved=False,
            approver="",
            comment=f"{request.subject} waits for a decision",
            deferred=True,
        )
