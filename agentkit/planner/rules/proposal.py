"""What a rule decides from: a proposed call and everything known about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from agentkit.planner.commitment import Commitment
from agentkit.tools.declaration import Effect, Tool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentkit.messages import JsonObject, Message, ToolCallPart
    from agentkit.planner.provenance import Origin, Tracer

__all__ = ["Proposal", "ToolPolicy"]


@dataclass(frozen=True, slots=True)
class ToolPolicy:
    """The operator's word on one allowed tool.

    ``approval``: ``ask`` before every call, or ``auto``: ask where provenance demands it.
    ``arguments``: JSON Schema that arguments must match besides the tool's own. ``None`` in
    ``calls_per_minute``: no rate limit. ``two_persons``: every call is asked, and two different
    people must approve.
    """

    approval: Literal["auto", "ask"] = "auto"
    arguments: JsonObject | None = None
    calls_per_minute: int | None = None
    two_persons: bool = False


@dataclass(frozen=True, slots=True)
class Proposal:
    """A call with what the rules need to know.

    ``origins``: where each leaf of its arguments came from, in order. ``tracer`` looks further
    values up in the same ``conversation``. ``tools``: every allowed tool by name. ``commitment``:
    what the user's request implies; ``admitted``: the calls of this turn that may already run.
    ``suspect``: a guard found signs of injection in this turn's content; shown to whoever is
    asked, and never what decides.
    """

    call: ToolCallPart
    tool: Tool
    policy: ToolPolicy
    conversation: Sequence[Message]
    tracer: Tracer
    origins: tuple[Origin, ...]
    tools: Mapping[str, Tool]
    commitment: Commitment = field(default_factory=Commitment)
    admitted: Sequence[ToolCallPart] = ()
    suspect: bool = False

    @property
    def has_effect(self) -> bool:
        """Whether the call does more than read."""
        return self.tool.effect is not Effect.READ

    @property
    def is_influenced(self) -> bool:
        """Whether untrusted content stands in the conversation that the model read."""
        return not self.tracer.influenced.is_trusted

    def decides(self, parameter: str) -> bool:
        """Whether a parameter's value decides where the call lands; for a call that only reads,
        only an audience does.
        """
        return self.tool.is_sensitive(parameter) and (
            self.has_effect or parameter in self.tool.audience
        )
