"""What a face (terminal, server) is told while a turn runs, in the order it happens.

These are for showing; the audit log has its own records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from agentkit.guards import Boundary, Judgement
    from agentkit.messages import ToolCallPart, ToolResultPart
    from agentkit.model.protocol import TokenUsage
    from agentkit.planner.approvals import Approval, ApprovalRequest
    from agentkit.planner.decision import Ruling

__all__ = [
    "ApprovalGiven",
    "CallFinished",
    "CallRuled",
    "ContentJudged",
    "ModelReplied",
    "Observer",
    "StepStarted",
    "TurnEvent",
    "ignore",
    "steady",
]


_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ContentJudged:
    """The guards judged what crossed a boundary."""

    boundary: Boundary
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class StepStarted:
    """The model starts its ``step``-th reply of the turn, counted from 1."""

    step: int


@dataclass(frozen=True, slots=True)
class ModelReplied:
    """The model's reply is complete. ``problems``: what it wrote that tried to be a call."""

    step: int
    calls: tuple[ToolCallPart, ...]
    problems: tuple[str, ...]
    usage: TokenUsage


@dataclass(frozen=True, slots=True)
class CallRuled:
    """The gate ruled over a call."""

    call: ToolCallPart
    ruling: Ruling


@dataclass(frozen=True, slots=True)
class ApprovalGiven:
    """A question was answered."""

    request: ApprovalRequest
    approval: Approval


@dataclass(frozen=True, slots=True)
class CallFinished:
    """A call ran, or was refused; ``result`` is what the model is told."""

    call: ToolCallPart
    result: ToolResultPart
    ran: bool
    elapsed_s: float


TurnEvent = ContentJudged | StepStarted | ModelReplied | CallRuled | ApprovalGiven | CallFinished
Observer = Callable[[TurnEvent], None]


def ignore(event: TurnEvent) -> None:
    """Observe nothing."""


def steady(observe: Observer) -> Observer:
    """Return ``observe`` so that its faults disturb no call: the first is logged and ends it.

    A pipe that was closed is no fault: whoever writes to it next is told so.
    """
    is_broken = False

    def observed(event: TurnEvent) -> None:
        nonlocal is_broken
        if is_broken:
            return
        try:
            observe(event)
        except BrokenPipeError:
            is_broken = True
        except Exception:  # noqa: BLE001 - whatever a face does wrong, the turn goes on
            is_broken = True
            _log.exception("observer_failed", told=type(event).__name__)

    return observed
