"""The loop, the gate, approvals and budgets."""

from agentkit.planner.answer import Answer, TurnResult
from agentkit.planner.approval import Approval, ApprovalRequest, Approver, NobodyPresent
from agentkit.planner.budget import TurnLimits
from agentkit.planner.commitment import Commitment, Committed
from agentkit.planner.decision import Decision, Evidence, Outcome, Ruling
from agentkit.planner.events import (
    ApprovalGiven,
    CallFinished,
    CallRuled,
    ContentJudged,
    ModelReplied,
    Observer,
    StepStarted,
    TurnEvent,
)
from agentkit.planner.gate import Gate
from agentkit.planner.rules import ToolPolicy
from agentkit.planner.turn import Planner

__all__ = [
    "Answer",
    "Approval",
    "ApprovalGiven",
    "ApprovalRequest",
    "Approver",
    "CallFinished",
    "CallRuled",
    "Commitment",
    "Committed",
    "ContentJudged",
    "Decision",
    "Evidence",
    "Gate",
    "ModelReplied",
    "NobodyPresent",
    "Observer",
    "Outcome",
    "Planner",
    "Ruling",
    "StepStarted",
    "ToolPolicy",
    "TurnEvent",
    "TurnLimits",
    "TurnResult",
]
