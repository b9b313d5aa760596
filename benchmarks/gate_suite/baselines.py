"""Gates to compare with: none at all, and two sketches of what others do.

They stand in the benchmark only; the product has no switch that turns a rule off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.guards import Boundary, GuardPipeline
from agentkit.messages import ToolResultPart
from agentkit.planner import Decision, Gate, Outcome, Ruling
from agentkit.tools import Effect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkit.messages import Message, ToolCallPart
    from agentkit.tools import Tool

__all__ = ["ExactValues", "NoGate"]


_UNGUARDED = GuardPipeline(dict.fromkeys(Boundary, ()), timeout_s=5)


class NoGate(Gate):
    """Lets every call through, as frameworks without a gate do."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        super().__init__(tools, {}, _UNGUARDED, _UNGUARDED)
        self.known = {tool.name: tool for tool in tools}

    async def rule(
        self, call: ToolCallPart, conversation: Sequence[Message], **_: object
    ) -> Ruling:
        """Allow."""
        del conversation
        outcome = Outcome.ALLOW if call.name in self.known else Outcome.DENY
        return Ruling((Decision(outcome, "none"),))


class ExactValues(NoGate):
    """Asks where a sensitive argument of an effect stands, letter by letter, in a tool's output
    and not in the user's words.
    """

    async def rule(
        self, call: ToolCallPart, conversation: Sequence[Message], **_: object
    ) -> Ruling:
        """Ask where a value was seen in a result."""
        tool = self.known[call.name]
        if tool.effect is Effect.READ:
            return Ruling((Decision(Outcome.ALLOW, "values"),))
        own = "\n".join(m.text for m in conversation if m.role in {"user", "system"})
        seen = "\n".join(
            part.text
            for message in conversation
            for part in message.parts
            if isinstance(part, ToolResultPart) and not part.is_error
        )
        for name, value in call.arguments.items():
            for item in value if isinstance(value, list) else [value]:
                if tool.is_sensitive(name) and str(item) in seen and str(item) not in own:
                    return Ruling((Decision(Outcome.ASK, "values", f"{name} was seen"),))
        return Ruling((Decision(Outcome.ALLOW, "values"),))
