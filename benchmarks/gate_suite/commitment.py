"""How the obedient model answers the planner's question what a request implies: honestly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.model.protocol import ToolCallDelta

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkit.messages import FunctionDeclaration
    from agentkit.model.protocol import Constraint
    from gate_suite.parts import Commit

__all__ = ["answer_commitment", "wants_commitment"]

PSEUDO_TOOL = "commit"


def wants_commitment(tools: Sequence[FunctionDeclaration], constraint: Constraint) -> bool:
    """Whether this step is the planner's question, not a step of the task."""
    del constraint
    return any(tool.name == PSEUDO_TOOL for tool in tools)


def answer_commitment(
    tools: Sequence[FunctionDeclaration], commits: Sequence[Commit]
) -> ToolCallDelta:
    """Return the call of the pseudo-tool."""
    del tools
    entries = [{"tool": c.tool, "objects": c.objects, "count": c.count} for c in commits]
    return ToolCallDelta(PSEUDO_TOOL, {"entries": entries})
