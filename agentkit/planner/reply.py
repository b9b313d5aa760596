"""One reply of the model: the deltas gathered, each call given an id of our own."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentkit.errors import ModelError
from agentkit.messages import Message, TextPart, ToolCallPart
from agentkit.model.protocol import (
    Constraint,
    FinishDelta,
    FinishReason,
    GenerationSettings,
    InvalidCallDelta,
    TextDelta,
    TokenUsage,
    ToolCallDelta,
)
from agentkit.planner.provenance import conversation_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkit.messages import FunctionDeclaration
    from agentkit.model.protocol import ChatModel

__all__ = ["Reply", "ask_model"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model said in one step. ``problems``: why something it wrote is no call."""

    message: Message
    problems: tuple[str, ...]
    usage: TokenUsage
    finish: FinishReason

    @property
    def text(self) -> str:
        """The reply's text, without surrounding white space."""
        return self.message.text.strip()


async def ask_model(
    model: ChatModel,
    conversation: Sequence[Message],
    *,
    tools: Sequence[FunctionDeclaration],
    constraint: Constraint,
    settings: GenerationSettings,
    call_prefix: str,
) -> Reply:
    """Have the model continue the conversation once.

    Calls get ids ``{call_prefix}.1``, ``.2`` ...: a backend's own ids may be absent or repeated,
    and decisions are keyed by them. Raises ``ModelError`` where the stream breaks the protocol.
    """
    text: list[str] = []
    calls: list[ToolCallDelta] = []
    invalid: list[InvalidCallDelta] = []
    finish: FinishDelta | None = None
    stream = model.generate(conversation, tools=tools, constraint=constraint, settings=settings)
    async with aclosing(stream) as deltas:
        async for delta in deltas:
            match delta:
                case TextDelta():
                    text.append(delta.text)
                case ToolCallDelta():
                    calls.append(delta)
                case InvalidCallDelta():
                    invalid.append(delta)
                case FinishDelta():
                    finish = delta
    if finish is None:
        raise ModelError(
            "the model's reply ended without a finish",
            cure="try again; if it repeats, the backend does not follow its protocol",
            place=model.info.model_id,
        )
    label = conversation_label(conversation)
    written = "".join(text) + "".join(item.raw for item in invalid)
    parts = [TextPart(written, label)] if written else []
    proposals = [
        ToolCallPart(f"{call_prefix}.{number}", call.name, call.arguments, label)
        for number, call in enumerate(calls, start=1)
    ]
    return Reply(
        Message("assistant", (*parts, *proposals)),
        tuple(item.problem for item in invalid),
        finish.usage,
        finish.reason,
    )
