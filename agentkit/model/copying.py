"""Arguments that a small model may only copy: its grammar admits no text that nobody wrote.

A model that misspells what it copies, or makes values up, is held to the conversation: a string
argument must then be a run of words of a user's message or of a tool's result.

What is covered: strings, and lists of strings, whose schema leaves open what they hold.
What is not covered: numbers, and code (a tool named ``python``), which are composed; strings whose
schema says more (``enum``, ``const``, ``pattern``, ``format``); conversations without words, where
nothing is held. What must be put in another form first, such as "tomorrow" as a date, cannot be
written at all.

A grammar has room for so many runs, and a line of minified JSON has half as many as the square of
its length. Where all runs are too many, only those to the next eight ends of words are admitted;
where these are too many as well, to the next four or two; and where even these are, nothing is
held.
"""

from __future__ import annotations

import re
from bisect import bisect_right
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
_ENDS_OF_A_RUN: Final = (None, 8, 4, 2)
"""How many ends of words a run may reach to: the first number whose runs the grammar has room for.
"""
_RUNS: Final = 1 << 15
_CHARACTERS: Final = 1 << 21
"""Of all runs in one grammar, counted for each argument that is held to them. llguidance takes
half as much again; prose of 160 words has 3,500 runs of 190,000 characters.
"""
_SHARES: Final = 4
"""One argument has at most this part of the room."""
_SAYS_MORE: Final = frozenset({"enum", "const", "pattern", "format", "contentMediaType"})
_WORD: Final = re.compile(r"\S+")
_STARTS: Final = re.compile(r"(?<!\S)\S|(?<!\w)\w")
_ENDS: Final = re.compile(r"\S(?!\S)|\w(?!\w)")


def copied_arguments(
    tools: Sequence[FunctionDeclaration], messages: Sequence[Message]
) -> tuple[FunctionDeclaration, ...]:
    """Return ``tools`` with schemas that admit runs of the conversation's words only."""
    held = sum(_count(tool.parameters) for tool in tools if tool.name not in _COMPOSED)
    runs = next((found for ends in _ENDS_OF_A_RUN if (found := _few(messages, ends, held))), None)
    if not runs:
        return tuple(tools)
    return tuple(
        tool if tool.name in _COMPOSED else replace(tool, parameters=_held(tool.parameters, runs))
        for tool in tools
    )


def runs_of_words(text: str, words: int = _WORDS, most_ends: int | None = None) -> Iterator[str]:
    """Yield the runs of the last ``words`` words of ``text``, punctuation at their ends or not.

    ``most_ends``: only those that end at one of so many ends of words after their start.
    """
    found = list(_WORD.finditer(text))[-words:]
    for number, word in enumerate(found):
        last = found[min(number + _LONGEST, len(found)) - 1]
        part = text[word.start() : last.end()]
        starts = [m.start() for m in _STARTS.finditer(part[: word.end() - word.start()])]
        ends = [m.end() for m in _ENDS.finditer(part)]
        for start in starts:
            first = bisect_right(ends, start)
            last_end = len(ends) if most_ends is None else first + most_ends
            yield from (part[start:end] for end in ends[first:last_end])


def _few(messages: Sequence[Message], most_ends: int | None, held: int) -> list[str]:
    """Return all runs without repetition; none where ``held`` arguments have no room for them."""
    found: list[str] = []
    characters = 0
    for run in _runs(messages, most_ends):
        found.append(run)
        characters += len(run)
        shares = max(held, _SHARES)
        if len(found) * shares > _RUNS or characters * shares > _CHARACTERS:
            return []
    return list(dict.fromkeys(found))


def _runs(messages: Sequence[Message], most_ends: int | None) -> Iterator[str]:
    left = _WORDS
    for message in reversed(messages):
        if message.role not in {"user", "tool"}:
            continue
        for part in message.parts:
            if isinstance(part, TextPart | ToolResultPart) and left > 0:
                yield from runs_of_words(part.text, left, most_ends)
                left -= len(_WORD.findall(part.text))


def _held(schema: JsonObject, runs: list[str]) -> JsonObject:
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return schema
    held: JsonObject = {key: _property(value, runs) for key, value in properties.items()}
    return {**schema, "properties": held}


def _count(schema: JsonObject) -> int:
    """Return how many arguments of a tool are to be held."""
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return 0
    return sum(_is_open(value) for value in properties.values())


def _is_open(schema: JsonValue) -> bool:
    """Whether it asks for a string, or a list of strings, and leaves open what they hold."""
    if not isinstance(schema, dict):
        return False
    if schema.get("type") == "array":
        return _is_open(schema.get("items"))
    return schema.get("type") == "string" and not _SAYS_MORE & schema.keys()


def _property(schema: JsonValue, runs: list[str]) -> JsonValue:
    if not isinstance(schema, dict) or not _is_open(schema):
        return schema
    if schema["type"] == "array":
        return {**schema, "items": _property(schema["items"], runs)}
    choices: list[JsonValue] = [run for run in runs if _fits(run, schema)]
    return {**schema, "enum": choices} if choices else schema


def _fits(run: str, schema: JsonObject) -> bool:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    return (not isinstance(least, int) or len(run) >= least) and (
        not isinstance(most, int) or len(run) <= most
    )
