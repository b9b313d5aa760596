"""The loop, the gate, approvals, durable runs and budgets."""

from agentkit.planner.answer import Answer, TurnResult
from agentkit.planner.approvals import (
    Approval,
    ApprovalDesk,
    ApprovalRequest,
    Approver,
    ApproverKey,
    LeaveForLater,
    NobodyPresent,
    SigningApprover,
    TrustedApprover,
)
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
from agentkit.planner.output import Citation, Finding, OutputChannel
from agentkit.planner.rules import ToolPolicy
from agentkit.planner.runs import Claim, RunRow, RunStore
from agentkit.planner.state import StateFile
from agentkit.planner.turn import Planner

__all__ = [
    "Answer",
    "Approval",
    "ApprovalDesk",
    "ApprovalGiven",
    "ApprovalRequest",
    "Approver",
    "ApproverKey",
    "CallFinished",
    "CallRuled",
    "Citation",
    "Claim",
    "Commitment",
    "Committed",
    "ContentJudged",
    "Decision",
    "Evidence",
    "Finding",
    "Gate",
    "LeaveForLater",
    "ModelReplied",
    "NobodyPresent",
    "Observer",
    "Outcome",
    "OutputChannel",
    "Planner",
    "Ruling",
    "RunRow",
    "RunStore",
    "SigningApprover",
    "StateFile",
    "StepStarted",
    "ToolPolicy",
    "TrustedApprover",
    "TurnEvent",
    "TurnLimits",
    "TurnResult",
]
