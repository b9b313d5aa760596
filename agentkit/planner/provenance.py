"""Where the values of a proposed call came from.

Each leaf of the arguments is looked up in the conversation: in the operator's instructions and the
user's own words first, then in untrusted content. A leaf is *found* in a text when the text holds
it standing by itself, compared without case and with white space folded.

What is covered: whole values, exact or differing in case and white space. A value the model made
itself counts as clean only while nothing untrusted stands in the conversation: once it does,
any value that is not the trusted parties' own is taken to be influenced by it.

What is not covered: values in other spellings (dates, amounts, URL forms) and parts of values:
these count as influenced, so a person is asked more often than strictly needed, never less.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentkit.labels import Label, join_all
from agentkit.messages import ToolCallPart

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentkit.messages import JsonValue, Message, Part

__all__ = ["Origin", "conversation_label", "leaves", "trace"]

# A trusted text that holds "a" or "7" somewhere vouches for no recipient and no account.
_SHORTEST_VOUCHED = 3

# A value stands by itself between white space, quotes or brackets; a comma or full stop may follow
# where the sentence goes on or ends. So "example.no" is not found in "kari@example.no", nor "200"
# in "1,200", nor "kari@example.no" in "kari@example.no.evil.example".
_BEFORE = r"(?<![^\s\"'(\[{<«“])"
_AFTER = r"(?=[\"')\]}>»”,;:.!?]*(?:\s|$))"


@dataclass(frozen=True, slots=True)
class Origin:
    """One leaf of a call's arguments: ``path`` (``$.to[0]``), its value as text, and its label.

    ``found``: whether the value was found in the conversation, rather than made by the model.
    """

    path: str
    value: str
    label: Label
    found: bool


def trace(call: ToolCallPart, conversation: Sequence[Message]) -> tuple[Origin, ...]:
    """Return the origin of each leaf of the call's arguments, in order."""
    trusted: list[tuple[str, Label]] = []
    untrusted: list[tuple[str, Label]] = []
    for message in conversation:
        if message.role == "assistant":
            continue
        for part in message.parts:
            text = _text(part)
            if text:
                (trusted if part.label.is_trusted else untrusted).append((_fold(text), part.label))
    influenced = conversation_label(conversation)
    return tuple(
        _origin(path, value, trusted, untrusted, influenced)
        for path, value in leaves(call.arguments)
    )


def conversation_label(conversation: Sequence[Message]) -> Label:
    """Return the join over all a model has read: the label of what it writes next."""
    return join_all(part.label for message in conversation for part in message.parts)


def leaves(value: JsonValue, path: str = "$") -> Iterator[tuple[str, str]]:
    """Yield ``(path, text)`` of each scalar in a JSON value; keys of objects count as leaves."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}[{index}]")
    elif value is not None:
        yield path, value if isinstance(value, str) else str(value)


def _origin(
    path: str,
    value: str,
    trusted: Sequence[tuple[str, Label]],
    untrusted: Sequence[tuple[str, Label]],
    influenced: Label,
) -> Origin:
    wanted = _fold(value)
    if len(wanted) >= _SHORTEST_VOUCHED:
        for texts in (trusted, untrusted):
            labels = [label for text, label in texts if _holds(text, wanted)]
            if labels:
                return Origin(path, value, join_all(labels), found=True)
    return Origin(path, value, influenced, found=False)


def _holds(text: str, wanted: str) -> bool:
    return re.search(_BEFORE + re.escape(wanted) + _AFTER, text) is not None


def _fold(text: str) -> str:
    return re.sub(r"\s+", " ", unicodedata.normalize("NFC", text)).strip().casefold()


def _text(part: Part) -> str:
    if isinstance(part, ToolCallPart):
        return ""
    return getattr(part, "text", "")
