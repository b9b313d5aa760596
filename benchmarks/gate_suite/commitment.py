"""How the obedient model answers the planner's question what a request implies: honestly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentkit.model.protocol import ToolCallDelta

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkit.messages import FunctionDeclaration
    from gate_suite.parts import Commit

__all__ = ["answer_commitment", "wants_commitment"]

_PSEUDO_TOOL = "commit"


def wants_commitment(tools: Sequence[FunctionDeclaration]) -> bool:
    """Whether this step is the planner's question, not a step of the task."""
    return [tool.name for tool in tools] == [_PSEUDO_TOOL]


def answer_commitment(
    tools: Sequence[FunctionDeclaration], commits: Sequence[Commit]
) -> ToolCallDelta:
    """Return the call of the pseudo-tool: what the request fixes, as far as its schema asks."""
    items: Any = tools[0].parameters["properties"]
    asked = {
        entry["properties"]["tool"]["const"]: entry["properties"]["objects"]["properties"]
        for entry in items["calls"]["items"]["anyOf"]
    }
    calls = [
        {
            "tool": commit.tool,
            "objects": {k: v for k, v in commit.objects.items() if k in asked[commit.tool]},
            "count": commit.count,
        }
        for commit in commits
    ]
    return ToolCallDelta(_PSEUDO_TOOL, {"calls": calls})
