"""What a tool is: a declaration that a model and a gate can read, and the function behind it.

The declaration states the tool's *effect* on the world and how its result is labelled. Both are
the operator's word, never the model's; where nothing is stated, the stricter reading holds: an
effect is ``external``, every parameter is sensitive, a result is untrusted and the user's alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from agentkit.errors import ToolError
from agentkit.messages import FunctionDeclaration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentkit.messages import JsonObject
    from agentkit.sandbox.interface import HostFunction
    from agentkit.tools.endorsement import Endorsement
    from agentkit.tools.results import ResultFields, ResultReaders, ReturnRule

__all__ = ["Effect", "Tool", "ToolCall", "ToolFunction"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


class Effect(StrEnum):
    """What a call does to the world: reads it, writes to what we own, or reaches others."""

    READ = "read"
    WRITE = "write"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One permitted call as its function sees it.

    ``idempotency_key`` is the same for every attempt at the same call of the same run, so that a
    function can refuse to repeat an effect. ``functions``: for a tool that runs programs, what the
    program may call; each call passes the gate. ``tainted``: whether untrusted content has entered
    the conversation, and with it what the model wrote here.
    """

    call_id: str
    arguments: JsonObject
    idempotency_key: str
    functions: Mapping[str, HostFunction] = field(default_factory=lambda: MappingProxyType({}))
    tainted: bool = field(default=False, kw_only=True)


class ToolFunction(Protocol):
    """The function behind a tool: returns text, raises ``ToolError`` for failures to report."""

    async def __call__(self, call: ToolCall) -> str:
        """Carry out one permitted call."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool.

    ``parameters``: JSON Schema (2020-12) of the arguments object. ``code_parameters``: parameters
    that hold Python source, scanned before the call. ``runs_programs``: that source may call the
    other allowed tools.

    Of its arguments: ``sensitive``, the parameters whose values decide where an effect lands
    (recipient, account, path, URL, amount, object id); None means all but ``content``.
    ``audience``: the parameters that name who will read what the call carries; they are sensitive
    too, also where the effect is ``read``, for a fetched URL tells its host what stands in it.
    ``content``: free text (body, message, subject), which may carry untrusted content only to an
    audience that may see all of its sources. ``endorsements``: for a parameter, the rules that
    vouch for a value which is neither the user's own nor trusted.

    Of its result: ``returns``, its label as a whole or by field; ``result_readers``, who may see
    it. ``idempotent``: a second call with the same idempotency key has no second effect, so that a
    call which a crash interrupted may be made again without asking.

    Raises ``ToolError`` where the name or the schema is not valid, or where the declaration names
    a parameter that the schema does not have.
    """

    name: str
    description: str
    parameters: JsonObject
    function: ToolFunction
    effect: Effect = Effect.EXTERNAL
    returns: ReturnRule | ResultFields = "untrusted"
    sensitive: frozenset[str] | None = None
    code_parameters: frozenset[str] = frozenset()
    result_readers: ResultReaders = "user"
    audience: frozenset[str] = frozenset()
    content: frozenset[str] = frozenset()
    endorsements: Mapping[str, tuple[Endorsement, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    idempotent: bool = False
    runs_programs: bool = False

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
        self._check_names()
        object.__setattr__(self, "endorsements", MappingProxyType(dict(self.endorsements)))

    def _check_names(self) -> None:
        known = self.parameters.get("properties")
        properties = frozenset(known) if isinstance(known, dict) else frozenset()
        stated = {
            "sensitive": self.sensitive or frozenset(),
            "audience": self.audience,
            "content": self.content,
            "endorsements": frozenset(self.endorsements),
            "code_parameters": self.code_parameters,
        }
        for what, names in stated.items():
            if unknown := sorted(names - properties):
                raise ToolError(
                    f"{what} of tool {self.name!r} names {unknown[0]!r}, which is no parameter",
                    cure=f"name one of: {', '.join(sorted(properties)) or 'it has none'}",
                )
        if both := sorted(self.content & (self.audience | (self.sensitive or frozenset()))):
            raise ToolError(
                f"parameter {both[0]!r} of tool {self.name!r} is both content and sensitive",
                cure="content is free text; what decides where an effect lands is sensitive",
            )

    @property
    def declaration(self) -> FunctionDeclaration:
        """What a model is told of the tool."""
        return FunctionDeclaration(self.name, self.description, self.parameters)

    def is_sensitive(self, parameter: str) -> bool:
        """Whether the value of ``parameter`` decides where an effect lands."""
        if parameter in self.audience:
            return True
        if self.sensitive is None:
            return parameter not in self.content
        return parameter in self.sensitive
