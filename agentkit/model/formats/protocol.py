"""What a prompt format is: how one model family writes conversations, tools and calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from agentkit.messages import FunctionDeclaration, Message
    from agentkit.model.prompt import Prompt
    from agentkit.model.protocol import Constraint
    from agentkit.model.toolcalls import CallSyntax, ParsedReply

__all__ = ["PromptFormat"]


@runtime_checkable
class PromptFormat(Protocol):
    """One family's format, stateless. Text of messages, tools and results goes into ``Plain``
    segments only, so that none of it can become a control token.
    """

    @property
    def name(self) -> str:
        """The format's name, such as ``llama4``."""

    @property
    def stop_tokens(self) -> tuple[str, ...]:
        """Names of the special tokens that end a reply."""

    @property
    def call_syntax(self) -> CallSyntax:
        """How calls are asked for, constrained and written into the history."""

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[FunctionDeclaration],
        constraint: Constraint,
    ) -> Prompt:
        """Return the prompt; it ends where the assistant's reply starts.

        Raises ``ModelError`` where the model cannot take a part (an image for a text model).
        """

    def parse(self, text: str, declared: Collection[str]) -> ParsedReply:
        """Read a whole reply, given without its stop token. Raises nothing.

        Callers leave it out where the reply is text by its constraint (``tool_choice`` ``none``,
        or a ``response_schema`` that was enforced while decoding).
        """
