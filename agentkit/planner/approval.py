"""Asking a person: what is asked, what is answered, and what happens when nobody is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from agentkit.planner.decision import Decision

__all__ = ["Approval", "ApprovalRequest", "Approver", "NobodyPresent"]


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """One question. ``subject``: the tool's name or the boundary; ``shown``: the canonical
    arguments or the text, exactly what will be used if approved.
    """

    run_id: str
    call_id: str
    subject: str
    shown: str
    decision: Decision


@dataclass(frozen=True, slots=True)
class Approval:
    """One answer: yes or no, whose it is, and their words."""

    approved: bool
    approver: str
    comment: str = ""


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
