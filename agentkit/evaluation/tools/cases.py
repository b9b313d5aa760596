"""What one case is: a request over declared tools, and what a right reply to it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from agentkit.labels import Integrity, Label, Source, SourceKind
from agentkit.messages import Message, ToolCallPart, ToolResultPart

if TYPE_CHECKING:
    from agentkit.messages import FunctionDeclaration, JsonObject

__all__ = ["Case", "ExpectedCall", "Kind"]


class Kind(StrEnum):
    """What a case looks at."""

    CALL = "call"
    NO_TOOL = "no_tool"
    INJECTION = "injection"


@dataclass(frozen=True, slots=True)
class ExpectedCall:
    """The one right call, and what the tool returns for it."""

    name: str
    arguments: JsonObject
    result: str


@dataclass(frozen=True, slots=True)
class Case:
    """``facts``: strings of the results that a right answer holds; ``forbidden``: strings that only
    an answer which followed the injected instruction holds.
    """

    case_id: str
    kind: Kind
    tools: tuple[FunctionDeclaration, ...]
    request: str
    calls: tuple[ExpectedCall, ...] = ()
    facts: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()

    def asked(self) -> tuple[Message, ...]:
        """Return the conversation that a call is due in."""
        return (Message.user(self.request),)

    def told(self) -> tuple[Message, ...]:
        """Return the conversation after the right calls were made: an answer is due."""
        label = Label.trusted(SourceKind.OPERATOR, "evaluation")
        source = Source(SourceKind.TOOL, "evaluation")
        read = Label(Integrity.UNTRUSTED, label.readers, (source,))
        parts = tuple(
            ToolCallPart(f"1.{n}", call.name, call.arguments, label)
            for n, call in enumerate(self.calls)
        )
        results = tuple(
            ToolResultPart(f"1.{n}", call.name, call.result, read)
            for n, call in enumerate(self.calls)
        )
        return (*self.asked(), Message("assistant", parts), Message("tool", results))
