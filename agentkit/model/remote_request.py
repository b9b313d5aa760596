"""What is sent to an OpenAI-compatible backend: one JSON object for one request."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Final

from agentkit.errors import ModelError
from agentkit.messages import (
    DocumentPagePart,
    ImagePart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    VideoFramePart,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentkit.messages import FunctionDeclaration, JsonObject, JsonValue, Message, Part
    from agentkit.model.protocol import Constraint, GenerationSettings

__all__ = ["request_body"]

_TOP_LOGPROBS: Final = 20  # the most that the protocol allows


def request_body(
    model_id: str,
    messages: Sequence[Message],
    tools: Sequence[FunctionDeclaration],
    constraint: Constraint,
    settings: GenerationSettings,
    *,
    max_images: int,
) -> bytes:
    """Return the request as UTF-8 JSON. Raises ``ModelError`` for parts that cannot be sent."""
    images = sum(1 for message in messages for part in message.parts if _image(part) is not None)
    if images > max_images:
        raise ModelError(
            f"the conversation holds {images} images and the backend takes {max_images}",
            cure="leave older images out, or raise max_images if the backend allows more",
        )
    body: JsonObject = {
        "model": model_id,
        "messages": [item for message in messages for item in _message(message)],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": settings.max_tokens,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "seed": settings.seed,
    }
    if tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                },
            }
            for tool in tools
        ]
        body["tool_choice"] = constraint.tool_choice
    if constraint.response_schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "reply", "strict": True, "schema": constraint.response_schema},
        }
    if settings.score_first_token:
        body.update(logprobs=True, top_logprobs=_TOP_LOGPROBS)
    # An unpaired surrogate has no UTF-8; it becomes a question mark rather than an error.
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _message(message: Message) -> Iterator[JsonObject]:
    if message.role == "tool":
        yield from (_result(part) for part in message.parts)
        return
    item: JsonObject = {"role": message.role, "content": _content(message)}
    if message.calls:
        item["tool_calls"] = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": json.dumps(call.arguments, ensure_ascii=False),
                },
            }
            for call in message.calls
        ]
    yield item


def _result(part: Part) -> JsonObject:
    if not isinstance(part, ToolResultPart):
        raise ModelError(
            f"a tool message holds a {type(part).__name__}, which this protocol cannot carry",
            cure="return text from tools, and pass images in a user message",
        )
    text = f"error: {part.text}" if part.is_error else part.text
    return {"role": "tool", "tool_call_id": part.call_id, "content": text}


def _content(message: Message) -> JsonValue:
    items: list[JsonValue] = []
    pictures = False
    for part in message.parts:
        if isinstance(part, TextPart | DocumentPagePart | ToolResultPart):
            items.append({"type": "text", "text": part.text})
        image = _image(part)
        if image is not None:
            pictures = True
            items.append({"type": "image_url", "image_url": {"url": image}})
    if pictures:
        return items
    calls_only = any(isinstance(part, ToolCallPart) for part in message.parts) and not items
    return None if calls_only else message.text


def _image(part: Part) -> str | None:
    """Return a part's picture as a data URL: a backend is never told to fetch anything."""
    match part:
        case ImagePart() | VideoFramePart():
            media_type, data = part.media_type, part.data
        case DocumentPagePart(image=bytes() as data):
            media_type = "image/png"
        case _:
            return None
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
