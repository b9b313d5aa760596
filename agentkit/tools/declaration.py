"""What a tool is: a declaration that a model and a gate can read, and the function behind it.

The declaration states the tool's *effect* on the world and how its result is labelled. Both are
the operator's word, never the model's; where nothing is stated, the stricter reading holds: an
effect is ``external``, every parameter is sensitive, a result is untrusted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from agentkit.errors import ToolError
from agentkit.messages import FunctionDeclaration

if TYPE_CHECKING:
    from agentkit.messages import JsonObject

__all__ = ["Effect", "ReturnRule", "Tool", "ToolCall", "ToolFunction"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


class Effect(StrEnum):
    """What a call does to the world: reads it, writes to what we own, or reaches others."""

    READ = "read"
    WRITE = "write"
    EXTERNAL = "external"


ReturnRule = Literal["untrusted", "trusted", "inputs"]
"""How a result is labelled: always so, or (``inputs``) as the join of the call's arguments, for
functions that compute from nothing else."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One permitted call as its function sees it.

    ``idempotency_key`` is the same for every attempt at the same call of the same run, so that a
    function can refuse to repeat an effect.
    """

    call_id: str
    arguments: JsonObject
    idempotency_key: str


class ToolFunction(Protocol):
    """The function behind a tool: returns text, raises ``ToolError`` for failures to report."""

    async def __call__(self, call: ToolCall) -> str:
        """Carry out one permitted call."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool.

    ``parameters``: JSON Schema (2020-12) of the arguments object. ``sensitive``: the parameters
    whose values decide where an effect lands (recipient, account, path); None means all.
    ``code_parameters``: parameters that hold Python source, scanned before the call.
    Raises ``ToolError`` where the name or the schema is not valid.
    """

    name: str
    description: str
    parameters: JsonObject
    function: ToolFunction
    effect: Effect = Effect.EXTERNAL
    returns: ReturnRule = "untrusted"
    sensitive: frozenset[str] | None = None
    code_parameters: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ToolError(
                f"{self.name!r} cannot be a tool's name",
                cure="use letters, digits, _ and -, at most 64, starting with a letter or _",
            )
        try:
            Draft202012Validator.check_schema(self.parameters)
        except SchemaError as error:
            raise ToolError(
                f"the parameters of tool {self.name!r} are no JSON Schema: {error.message}",
                cure="give a JSON Schema (2020-12) of an object",
            ) from error
        if self.parameters.get("type") != "object":
            raise ToolError(
                f"the parameters of tool {self.name!r} do not describe an object",
                cure='start the schema with "type": "object"',
            )

    @property
    def declaration(self) -> FunctionDeclaration:
        """What a model is told of the tool."""
        return FunctionDeclaration(self.name, self.description, self.parameters)

    def is_sensitive(self, parameter: str) -> bool:
        """Whether the value of ``parameter`` decides where an effect lands."""
        return self.sensitive is None or parameter in self.sensitive
