"""agent.yaml's JSON Schema, for editors that complete and check while one types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentkit.spec.schema import AgentSpec
from agentkit.spec.tools import BUILTIN_TOOLS

if TYPE_CHECKING:
    from agentkit.messages import JsonObject

__all__ = ["agent_json_schema"]


def agent_json_schema() -> JsonObject:
    """Return the JSON Schema (draft 2020-12) of agent.yaml.

    It holds descriptions, defaults and examples. What it cannot say (a key over http, a hub id
    without a commit, secrets) only ``load_spec`` checks.
    """
    schema: dict[str, Any] = AgentSpec.model_json_schema()
    _tell_tools_apart(schema["properties"]["tools"])
    schema["$defs"]["LocalModel"]["oneOf"] = [
        {"required": ["path"], "not": {"required": ["id"]}},
        {"required": ["id", "revision"], "not": {"required": ["path"]}},
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "agent.yaml",
    }


def _tell_tools_apart(tools: dict[str, Any]) -> None:
    """Describe built-in tools by their names, and one's own by their function."""
    (name_pattern,) = tools.pop("patternProperties")
    own = {"required": ["function"]}
    tool = {"$ref": "#/$defs/ToolSpec"}
    builtin = {"anyOf": [{"type": "null"}, {"allOf": [tool, {"not": own}]}]}
    tools["propertyNames"] = {"pattern": name_pattern}
    tools["properties"] = dict.fromkeys(BUILTIN_TOOLS, builtin)
    tools["additionalProperties"] = {"allOf": [tool, own]}
