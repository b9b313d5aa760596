"""Programs as plans: one program in the sandbox that calls the allowed tools as functions.

What is covered: each call of a program crosses back to the host and takes the same way as a call
that the model proposes: gate, audit, approval, guards, label. Its arguments are traced against the
conversation and what the program was given so far, and it counts against the turn's limits and its
commitment. The program reaches nothing else; what it was given, its output carries: the join of
all those labels, and no field of it is clean.

What is not covered: a question to a person waits within the run's own time; a program that has to
wait longer ends as ``timeout`` and says so. Tools whose name is no Python identifier, after ``-``
has become ``_``, cannot be called from a program.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from keyword import iskeyword
from typing import TYPE_CHECKING, Protocol

import anyio

from agentkit.errors import RunSuspended, ToolError
from agentkit.labels import join_all
from agentkit.messages import Message, ToolCallPart
from agentkit.model.toolcalls import CallProblem, check_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentkit.labels import Label
    from agentkit.messages import JsonObject, JsonValue, ToolResultPart
    from agentkit.sandbox.interface import HostFunction
    from agentkit.tools.declaration import Tool

__all__ = ["Program", "SettleOne"]


class SettleOne(Protocol):
    """Rules over one call and runs it where it may run; returns its result either way."""

    async def __call__(
        self, call: ToolCallPart, conversation: Sequence[Message], /
    ) -> ToolResultPart:
        """``conversation``: up to and with the call."""


@dataclass(slots=True)
class Program:
    """One running program: ``call`` is the call that carries its code.

    ``asked``: the conversation when it began. ``suspended``: a call of it waits for people; what
    the program does after that counts for nothing, for it is run again.
    """

    call: ToolCallPart
    conversation: Sequence[Message]
    settle: SettleOne
    given: list[ToolResultPart] = field(default_factory=list)
    suspended: RunSuspended | None = None
    asked: Sequence[Message] = field(init=False)
    _calls: int = 0
    _turn: anyio.Lock = field(default_factory=anyio.Lock)

    def __post_init__(self) -> None:
        self.asked = self.conversation

    def functions(self, tools: Mapping[str, Tool]) -> dict[str, HostFunction]:
        """Return what the program may call, by name: every allowed tool that runs no programs."""
        named = {name.replace("-", "_"): tool for name, tool in tools.items()}
        return {
            name: _ToolFunction(self, tool)
            for name, tool in named.items()
            if not tool.runs_programs and not iskeyword(name) and not name.startswith("__")
        }

    def labelled(self, result: ToolResultPart) -> ToolResultPart:
        """Return the program's own result, labelled with all that it was given."""
        if not self.given:
            return result
        return replace(result, label=self._label(result.label), fields=())

    async def ask(self, tool: Tool, arguments: JsonObject) -> JsonValue:
        """Settle one call of the program. Raises ``ToolError`` where it did not succeed."""
        async with self._turn:  # threads of a program call one after the other
            if self.suspended is not None:
                raise ToolError("people have to decide first; the run is put aside")
            try:
                check_value(arguments)  # what cannot be recorded must not run
            except CallProblem as problem:
                raise ToolError(str(problem)) from None
            self._calls += 1
            call = ToolCallPart(
                f"{self.call.call_id}.{self._calls}",
                tool.name,
                arguments,
                self._label(self.call.label),
            )
            conversation = (*self.conversation, Message("assistant", (call,)))
            try:
                result = await self.settle(call, conversation)
            except RunSuspended as suspended:
                self.suspended = suspended
                raise ToolError("people have to decide first; the run is put aside") from suspended
            self.given.append(result)
            self.conversation = (*conversation, Message("tool", (result,)))
        if result.is_error:
            raise ToolError(result.text)
        return _value(result.text)

    def _label(self, own: Label) -> Label:
        return join_all([own, *(result.label for result in self.given)])


class _ToolFunction:
    """A tool as a function of the host; see ``sandbox.interface.HostFunction``."""

    def __init__(self, program: Program, tool: Tool) -> None:
        self._program = program
        self._tool = tool
        properties = tool.parameters.get("properties")
        self.parameters = tuple(properties) if isinstance(properties, dict) else ()

    async def __call__(self, arguments: JsonObject) -> JsonValue:
        return await self._program.ask(self._tool, arguments)


def _value(text: str) -> JsonValue:
    """Return a result as the program is given it: JSON where it is that, else the text."""
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value
