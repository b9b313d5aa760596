"""One digest over everything that the gate's rulings rest on besides the call itself.

What is covered: every declared property of every allowed tool except its function, and the
operator's policies. A decision made under one digest does not count under another.

What is not covered: the code of tools and of agentkit itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING

from agentkit.audit import canonical_json, digest
from agentkit.tools.declaration import Tool

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentkit.messages import JsonValue
    from agentkit.planner.checks import ToolPolicy

__all__ = ["policy_digest"]


def policy_digest(tools: Iterable[Tool], policies: Mapping[str, ToolPolicy]) -> str:
    """Return the hex SHA-256 over the canonical form of tools and policies."""
    listed = sorted(tools, key=lambda tool: tool.name)
    return digest({"tools": [_plain(tool) for tool in listed], "policies": _plain(policies)})


def _plain(value: object) -> JsonValue:
    if isinstance(value, Enum):
        return _plain(value.value)
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value)]
        if isinstance(value, Tool):
            names.remove("function")
        held: JsonValue = {name: _plain(getattr(value, name)) for name in names}
        return {"is": type(value).__name__, "of": held}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, AbstractSet):
        return sorted((_plain(item) for item in value), key=canonical_json)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a {type(value).__name__} has no canonical form")
