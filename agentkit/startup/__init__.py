"""The gate before the first turn: everything is checked, or it refuses to start."""

from agentkit.startup.constraints import check_constraints
from agentkit.startup.gate import Rooms, start
from agentkit.startup.licence import decide_licences, model_identity
from agentkit.startup.policies import declared_tools, open_policies
from agentkit.startup.pool import ModelPool
from agentkit.startup.report import StartupCheck, StartupObserver, StartupReport, ignore_check
from agentkit.startup.spending import declared_spending, open_spending

__all__ = [
    "ModelPool",
    "Rooms",
    "StartupCheck",
    "StartupObserver",
    "StartupReport",
    "check_constraints",
    "decide_licences",
    "declared_spending",
    "declared_tools",
    "ignore_check",
    "model_identity",
    "open_policies",
    "open_spending",
    "start",
]
