"""Arguments that a small model may only copy: its grammar admits no text that nobody wrote.

A model that misspells what it copies, or makes values up, is held to the conversation: a string
argument must then be a run of words of a user's message or of a tool's result.

What is covered: strings, and lists of strings, whose schema leaves open what they hold.
What is not covered: numbers, and code (a tool named ``python``), which are composed; strings whose
schema says more (``enum``, ``const``, ``pattern``, ``format``); conversations without words, where
nothing is held. What must be put in another form first, such as "tomorrow" as a date, cannot be
written at all.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from agentkit.messages import TextPart, ToolResultPart

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentkit.messages import FunctionDeclaration, JsonObject, JsonValue, Message

__all__ = ["copied_arguments", "runs_of_words"]

_COMPOSED: Final = frozenset({"python"})
_WORDS: Final = 160
"""The last words of the conversation that may be copied; the grammar grows with them."""
_LONGEST: Final = 16
"""Words in one run."""
_SAYS_MORE: Final = frozenset({"enum", "const", "pattern", "format", "contentMediaType"})
_WORD: Final = re.compile(r"\S+")
_STARTS: Final = re.compile(r"(?<!\S)\S|(?<!\w)\w")
_ENDS: Final = re.compile(r"\S(?!\S)|\w(?!\w)")


def copied_arguments(
    tools: Sequence[FunctionDeclaration], messages: Sequence[Message]
) -> tuple[FunctionDeclaration, ...]:
    """Return ``tools`` with schemas that admit runs of the conversation's words only."""
    runs = list(dict.fromkeys(_runs(messages)))
    if not runs:
        return tuple(tools)
    return tuple(
        tool if tool.name in _COMPOSED else replace(tool, parameters=_held(tool.parameters, runs))
        for tool in tools
    )


def runs_of_words(text: str, words: int = _WORDS) -> Iterator[str]:
    """Yield the runs of the last ``words`` words of ``text``, punctuation at their ends or not."""
    found = list(_WORD.finditer(text))[-words:]
    for number, word in enumerate(found):
        last = found[min(number + _LONGEST, len(found)) - 1]
        part = text[word.start() : last.end()]
        starts = [m.start() for m in _STARTS.finditer(part[: word.end() - word.start()])]
        ends = [m.end() for m in _ENDS.finditer(part)]
        for start in starts:
            yield from (part[start:end] for end in ends if end > start)


def _runs(messages: Sequence[Message]) -> Iterator[str]:
    left = _WORDS
    for message in reversed(messages):
        if message.role not in {"user", "tool"}:
            continue
        for part in message.parts:
            if isinstance(part, TextPart | ToolResultPart) and left > 0:
                yield from runs_of_words(part.text, left)
                left -= len(_WORD.findall(part.text))


def _held(schema: JsonObject, runs: list[str]) -> JsonObject:
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return schema
    held: JsonObject = {key: _property(value, runs) for key, value in properties.items()}
    return {**schema, "properties": held}


def _property(schema: JsonValue, runs: list[str]) -> JsonValue:
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "string" and not _SAYS_MORE & schema.keys():
        choices: list[JsonValue] = [run for run in runs if _fits(run, schema)]
        return {**schema, "enum": choices} if choices else schema
    if schema.get("type") == "array" and "items" in schema:
        return {**schema, "items": _property(schema["items"], runs)}
    return schema


def _fits(run: str, schema: JsonObject) -> bool:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    return (not isinstance(least, int) or len(run) >= least) and (
        not isinstance(most, int) or len(run) <= most
    )
