"""A model that says what it was told to say. For tests only: nothing else may import it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agentkit.errors import ModelError
from agentkit.model.protocol import (
    Constraint,
    FinishDelta,
    GenerationSettings,
    InvalidCallDelta,
    ModelInfo,
    TextDelta,
    ToolCallDelta,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from agentkit.messages import FunctionDeclaration, Message
    from agentkit.model.prompt import Prompt
    from agentkit.model.protocol import Delta

__all__ = ["ScriptedModel", "Shown"]


@dataclass(frozen=True, slots=True)
class Shown:
    """What one request showed the model: a conversation, or a prompt of given segments."""

    messages: tuple[Message, ...] = ()
    tools: tuple[FunctionDeclaration, ...] = ()
    constraint: Constraint = field(default_factory=Constraint)
    settings: GenerationSettings = field(default_factory=GenerationSettings)
    prompt: Prompt = ()


class ScriptedModel:
    """A chat model, for tests only, that plays replies in order and records what it was shown.

    ``replies``: each a string (one text), an exception (raised instead of an answer) or deltas. A
    reply that does not end in a ``FinishDelta`` gets one, with the reason that fits.
    Raises ``ModelError`` when the script is exhausted.
    """

    def __init__(self, replies: Sequence[str | Exception | Sequence[Delta]]) -> None:
        self._rest = list(replies)
        self.shown: list[Shown] = []

    @property
    def info(self) -> ModelInfo:
        """What the model says of itself."""
        return ModelInfo("scripted", "test", "scripted", "scripted, for tests only", 8192)

    @property
    def remaining(self) -> int:
        """How many replies have not been played."""
        return len(self._rest)

    async def generate(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[FunctionDeclaration] = (),
        constraint: Constraint = Constraint(),
        settings: GenerationSettings = GenerationSettings(),
    ) -> AsyncGenerator[Delta, None]:
        """Play the next reply, whatever was asked."""
        self.shown.append(Shown(tuple(messages), tuple(tools), constraint, settings))
        for delta in self._next():
            yield delta

    async def generate_prompt(
        self, prompt: Prompt, *, settings: GenerationSettings = GenerationSettings()
    ) -> AsyncGenerator[Delta, None]:
        """Play the next reply to a prompt of given segments."""
        self.shown.append(Shown(settings=settings, prompt=prompt))
        for delta in self._next():
            yield delta

    async def aclose(self) -> None:
        """Do nothing: there is nothing to release."""

    def _next(self) -> list[Delta]:
        if not self._rest:
            raise ModelError(
                "the scripted model has no reply left", cure="write one more reply into the script"
            )
        reply = self._rest.pop(0)
        if isinstance(reply, Exception):
            raise reply
        deltas: list[Delta] = [TextDelta(reply)] if isinstance(reply, str) else list(reply)
        if not deltas or not isinstance(deltas[-1], FinishDelta):
            called = any(isinstance(delta, ToolCallDelta | InvalidCallDelta) for delta in deltas)
            deltas.append(FinishDelta("calls" if called else "stop"))
        return deltas
