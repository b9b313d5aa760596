"""agentkit: tool-using assistants that a bank, a hospital or a ministry may run.

    import anyio
    from agentkit import Agent

    async def main() -> None:
        async with Agent.open("agent.yaml") as agent:
            print((await agent.run("What is 17 * 23?")).text)

    anyio.run(main)

Rooms are imported by their own names: ``agentkit.model``, ``agentkit.guards``,
``agentkit.sandbox``, ``agentkit.tools``, ``agentkit.licensing``, ``agentkit.audit``.
"""

from agentkit.agent import Agent, BlockingAgent, open_blocking
from agentkit.errors import (
    AgentkitError,
    ApprovalError,
    AuditDamaged,
    AuditError,
    BackendError,
    GuardError,
    ModelError,
    RunSuspended,
    SandboxError,
    SpecError,
    StartupRefused,
    StateError,
    ToolError,
    TurnStopped,
    WeightsMismatch,
)
from agentkit.planner import Answer, Approval, ApprovalRequest, Approver
from agentkit.startup import ModelPool
from agentkit.tools import Effect, tool

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "AgentkitError",
    "Answer",
    "Approval",
    "ApprovalError",
    "ApprovalRequest",
    "Approver",
    "AuditDamaged",
    "AuditError",
    "BackendError",
    "BlockingAgent",
    "Effect",
    "GuardError",
    "ModelError",
    "ModelPool",
    "RunSuspended",
    "SandboxError",
    "SpecError",
    "StartupRefused",
    "StateError",
    "ToolError",
    "TurnStopped",
    "WeightsMismatch",
    "__version__",
    "open_blocking",
    "tool",
]
