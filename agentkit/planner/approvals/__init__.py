"""Approvals: questions to people, their signed decisions, and the store that holds both."""

from agentkit.planner.approvals.binding import Binding
from agentkit.planner.approvals.desk import ApprovalDesk, SigningApprover, trusted_keys
from agentkit.planner.approvals.keys import ApproverKey, TrustedApprover, parse_approver
from agentkit.planner.approvals.request import (
    Approval,
    ApprovalRequest,
    Approver,
    LeaveForLater,
    NobodyPresent,
)
from agentkit.planner.approvals.standing import OpenRequest, Standing
from agentkit.planner.approvals.statement import SignedStatement, Statement, Word
from agentkit.planner.approvals.store import ApprovalStore

__all__ = [
    "Approval",
    "ApprovalDesk",
    "ApprovalRequest",
    "ApprovalStore",
    "Approver",
    "ApproverKey",
    "Binding",
    "LeaveForLater",
    "NobodyPresent",
    "OpenRequest",
    "SignedStatement",
    "SigningApprover",
    "Standing",
    "Statement",
    "TrustedApprover",
    "Word",
    "parse_approver",
    "trusted_keys",
]
