"""The Cedar schema of one agent: who calls, what is called, and what is known about the call.

One action for each tool, with the tool's own parameters typed in its context; actions stand in
the group of their effect (``Action::"effect:external"``). A policy is checked against this before
the first turn, so a misspelt tool, parameter or fact is an error at load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.planner.policy.types import parameter_types, quote
from agentkit.tools.declaration import Effect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkit.tools.declaration import Tool

__all__ = ["effect_group", "schema_text"]

_COMMON = """\
entity Group;
entity User in [Group];
entity Agent;
entity Tool;

// Where one argument came from: the join over its parts.
type Label = {
  trusted: Bool,
  found: Bool,
  sensitive: Bool,
  sources: Set<String>,
  readers?: Set<String>,
};

// Local time where the operator's timezone says; weekday 1 is Monday, minute counts from midnight.
type Moment = { now: datetime, date: String, hour: Long, minute: Long, weekday: Long };
"""

_FACTS = """\
    agent: Agent,
    effect: String,
    tier: String,
    suspect: Bool,
    untrusted: Set<String>,
    sources: Set<String>,
    time: Moment,"""


def effect_group(effect: Effect) -> str:
    """Return the id of the action group that all tools of ``effect`` stand in."""
    return f"effect:{effect.value}"


def schema_text(tools: Sequence[Tool], names: frozenset[str] | None = None) -> str:
    """Return the schema in Cedar's own syntax; ``names``: the only parameters to put in."""
    groups = [f'action "{effect_group(effect)}";' for effect in Effect]
    return "\n".join([_COMMON, *groups, *(_action(tool, names) for tool in tools)]) + "\n"


def _action(tool: Tool, names: frozenset[str] | None) -> str:
    record = parameter_types(tool.parameters, names)
    properties = tool.parameters.get("properties")
    labelled = properties if isinstance(properties, dict) else {}
    labels = ", ".join(f"{quote(name)}?: Label" for name in labelled)
    return (
        f'\naction {quote(tool.name)} in [Action::"{effect_group(tool.effect)}"] appliesTo {{\n'
        f"  principal: [User],\n  resource: [Tool],\n  context: {{\n{_FACTS}\n"
        f"    arguments: {record},\n    labels: {{{labels}}},\n  }},\n}};"
    )
