"""Declaring a tool over a world in a few lines: parameters by name, results as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agentkit.errors import ToolError
from agentkit.tools import Effect, Tool, ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["INTEGER", "NUMBER", "TEXT", "TEXTS", "declare"]

TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}
INTEGER = {"type": "integer"}
NUMBER = {"type": "number"}


def declare(
    name: str,
    description: str,
    parameters: dict[str, Any],
    function: Callable[..., Any],
    effect: Effect = Effect.READ,
    *,
    optional: frozenset[str] = frozenset(),
    **declared: Any,
) -> Tool:
    """Declare a tool whose ``function`` takes the arguments by name and returns a JSON value.

    ``declared`` is handed to ``Tool`` as it is: what its fields, parameters and readers are.
    """

    async def carry_out(call: ToolCall) -> str:
        try:
            return json.dumps(function(**call.arguments), ensure_ascii=False)
        except LookupError as error:
            raise ToolError(f"{name}: not found", cure="look it up first") from error

    schema = {
        "type": "object",
        "properties": parameters,
        "required": [key for key in parameters if key not in optional],
        "additionalProperties": False,
    }
    return Tool(name, description, schema, carry_out, effect, **declared)
