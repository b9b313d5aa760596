"""How many tokens a model call takes: at most, before any model has read it, and at its end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agentkit.messages import DocumentPagePart, ImagePart, ToolCallPart, VideoFramePart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkit.messages import FunctionDeclaration, Message, Part
    from agentkit.model.protocol import TokenUsage

__all__ = ["most_tokens", "used_tokens"]

# Every tokenizer in use writes at most one token a byte; a template adds its frame to each message.
_FRAME = 64
_PICTURE = 8192


def most_tokens(conversation: Sequence[Message], tools: Sequence[FunctionDeclaration]) -> int:
    """Return an upper bound of the tokens that a model reads."""
    parts = sum(_most(part) + _FRAME for message in conversation for part in message.parts)
    described = sum(
        len(json.dumps([tool.name, tool.description, tool.parameters])) + _FRAME for tool in tools
    )
    return parts + described + _FRAME * (len(conversation) + 1)


def used_tokens(usage: TokenUsage, *, prompt: int, completion: int) -> int:
    """Return what a model call used.

    ``prompt`` and ``completion``: the most that they can be, counted where the backend is silent.
    """
    return (usage.prompt_tokens or prompt) + (usage.completion_tokens or completion)


def _most(part: Part) -> int:
    match part:
        case ToolCallPart():
            return len(json.dumps(part.arguments)) + _size(part.name)
        case ImagePart() | VideoFramePart():
            return _PICTURE
        case DocumentPagePart():
            return _size(part.text) + (_PICTURE if part.image is not None else 0)
        case _:
            return _size(part.text)


def _size(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))
