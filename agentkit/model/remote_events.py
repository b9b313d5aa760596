"""Server-sent events, as OpenAI-compatible backends send them: bytes in, data out."""

from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING

from agentkit.errors import BackendError
from agentkit.strict_json import unique_keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

    from agentkit.messages import JsonObject, JsonValue

__all__ = ["broken_protocol", "parse_object", "server_sent_data"]


def broken_protocol(what: str) -> BackendError:
    """Return the error for an answer that is no chat completion."""
    return BackendError(
        f"the backend broke the protocol: {what}",
        cure="check that the URL is an OpenAI-compatible /v1 endpoint; otherwise report it there",
    )


def parse_object(text: str) -> JsonObject:
    """Return the JSON object that ``text`` is; ``BackendError`` where it is none.

    A key that stands twice is refused: a call's arguments may be among them, as an object.
    """
    try:
        value: JsonValue = json.loads(text, object_pairs_hook=unique_keys)
    except (ValueError, RecursionError):
        raise broken_protocol("malformed JSON") from None
    if not isinstance(value, dict):
        raise broken_protocol("a JSON value that is no object")
    return value


async def server_sent_data(chunks: AsyncIterable[bytes]) -> AsyncIterator[str]:
    """Yield the data of each server-sent event (WHATWG HTML, 9.2), ``[DONE]`` included."""
    decode = codecs.getincrementaldecoder("utf-8")().decode
    pending: list[str] = []
    data: list[str] = []
    async for chunk in chunks:
        try:
            text = decode(chunk)
        except UnicodeDecodeError:
            raise broken_protocol("malformed UTF-8") from None
        *lines, rest = text.split("\n")
        for line in lines:
            whole = "".join([*pending, line]).removesuffix("\r")
            pending.clear()
            if whole.startswith("data:"):
                data.append(whole.removeprefix("data:").removeprefix(" "))
            elif not whole and data:
                yield "\n".join(data)
                data.clear()
        pending.append(rest)
    last = "".join(pending).removesuffix("\r")
    if last.startswith("data:"):
        data.append(last.removeprefix("data:").removeprefix(" "))
    if data:  # a backend that leaves out the last blank line has still said it
        yield "\n".join(data)
