"""The policy digest: one hash over what the gate goes by.

What is covered: each allowed tool's whole declaration (name, description, schema, effect, labels,
readers, sensitive, audience and content parameters, endorsements) and the operator's policy on it.

What is not covered: the function behind a tool, and the guards' configuration.
"""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING

from agentkit.audit import digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentkit.messages import JsonObject, JsonValue
    from agentkit.planner.rules import ToolPolicy
    from agentkit.tools.declaration import Tool

__all__ = ["policy_digest"]


def policy_digest(tools: Sequence[Tool], policies: Mapping[str, ToolPolicy]) -> str:
    """Return the digest as hex; the order in which tools are given does not matter."""
    declared: JsonObject = {tool.name: _declared(tool) for tool in tools}
    stated: JsonObject = {name: _plain(asdict(policy)) for name, policy in policies.items()}
    body: JsonObject = {"tools": declared, "policies": stated}
    return digest(body)


def _declared(tool: Tool) -> JsonObject:
    return {
        "description": tool.description,
        "parameters": tool.parameters,
        "effect": tool.effect.value,
        "returns": _plain(tool.returns),
        "result_readers": _plain(tool.result_readers),
        "sensitive": _plain(tool.sensitive),
        "audience": _plain(tool.audience),
        "content": _plain(tool.content),
        "code_parameters": _plain(tool.code_parameters),
        "runs_programs": tool.runs_programs,
        "endorsements": {
            name: [_plain(rule) for rule in rules] for name, rules in tool.endorsements.items()
        },
    }


def _plain(value: object) -> JsonValue:
    """Return a declaration's value as JSON; a dataclass with its type's name."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {"type": type(value).__name__, **_members(asdict(value))}
    if isinstance(value, frozenset):
        return [*sorted(str(item) for item in value)]
    if isinstance(value, dict):
        return _members(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)


def _members(value: dict[str, object]) -> JsonObject:
    return {str(name): _plain(item) for name, item in value.items()}
