"""Pythonic calls, Llama 4's default: ``[name(key=literal, ...), ...]``.

Read by a grammar of its own rather than by ``ast``: names may hold dots and hyphens, ``from=`` and
``class=`` are fine as keys, ``true`` and ``null`` are values like ``True`` and ``None``, strings
may hold raw line ends, and no input reaches Python's own parser or evaluator. Values are literals
only: a call, a name or an expression inside a value is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agentkit.model.protocol import ToolCallDelta
from agentkit.model.toolcalls.literals import LiteralReader
from agentkit.model.toolcalls.syntax import NAME_PATTERN, CallProblem
from agentkit.model.toolcalls.values import check_value, clip

if TYPE_CHECKING:
    from collections.abc import Collection

    from agentkit.messages import JsonObject

__all__ = ["KEY_PATTERN", "parse_pythonic_calls"]

KEY_PATTERN: Final = r"[A-Za-z_][A-Za-z0-9_]{0,127}"
"""A keyword in a pythonic call."""

_FORM: Final = 'Write the calls as [tool(key="value", other=1), tool2()] and nothing else.'
_OPEN: Final = re.compile(rf"\[\s*({NAME_PATTERN})\s*\(")
_BARE: Final = re.compile(rf"({NAME_PATTERN})\s*\(")
_NAME: Final = re.compile(NAME_PATTERN)
_KEYWORD: Final = re.compile(rf"({KEY_PATTERN})\s*=(?!=)")


def parse_pythonic_calls(text: str, declared: Collection[str]) -> list[ToolCallDelta] | None:
    """Return the calls that the stripped ``text`` consists of; None where it is text.

    Prose and citations may well start with a bracket, so a list of calls counts only if it names
    at least one declared tool; an undeclared name beside it is left to the gate to deny.
    Raises ``CallProblem`` where ``text`` starts as a call of a declared tool and is broken.
    """
    opened = _OPEN.match(text)
    if opened is None:
        _refuse_bare_call(text, declared)
        return None
    try:
        calls = _read_calls(text)
    except CallProblem as problem:
        if opened[1] in declared:
            raise CallProblem(f"{problem} {_FORM}") from None
        return None
    return calls if any(call.name in declared for call in calls) else None


def _refuse_bare_call(text: str, declared: Collection[str]) -> None:
    """Raise where ``text`` is nothing but a call that lacks its brackets; prose may start so."""
    bare = _BARE.match(text)
    if bare is None or bare[1] not in declared or not text.endswith(")"):
        return
    try:
        _read_calls(f"[{text}]")
    except CallProblem:
        return
    raise CallProblem(f"The call of {clip(bare[1])} lacks its brackets. {_FORM}")


def _read_calls(text: str) -> list[ToolCallDelta]:
    reader = LiteralReader(text)
    calls: list[ToolCallDelta] = []
    reader.expect("[")
    while not reader.take("]"):
        name = reader.match(_NAME)
        if name is None:
            raise CallProblem(f"No tool's name stands at character {reader.at}.")
        reader.expect("(")
        calls.append(ToolCallDelta(name[0], _read_arguments(reader, name[0])))
        if not reader.take(","):
            reader.expect("]")
            break
    if not reader.at_end():
        raise CallProblem(f"Text follows the calls: {clip(text[reader.at : reader.at + 80])}.")
    return calls


def _read_arguments(reader: LiteralReader, name: str) -> JsonObject:
    arguments: JsonObject = {}
    while not reader.take(")"):
        keyword = reader.match(_KEYWORD)
        if keyword is None:
            raise CallProblem(f"Arguments of {clip(name)} are written key=value, each of them.")
        if keyword[1] in arguments:
            raise CallProblem(f"The key {clip(keyword[1])} stands twice in one call.")
        value = reader.value()
        check_value(value)
        arguments[keyword[1]] = value
        if not reader.take(","):
            reader.expect(")")
            break
    return arguments
