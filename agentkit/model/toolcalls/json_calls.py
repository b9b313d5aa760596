"""JSON calls: ``{"name": ..., "arguments": {...}}`` and the forms that backends make of it.

Read: ``arguments`` or ``parameters``; as an object or as a string that holds one; with or without
``"type": "function"``; wrapped as ``{"type": "function", "function": {...}}``; several calls one
after another (white space or ``;`` between them) or in one array.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agentkit.model.protocol import ToolCallDelta
from agentkit.model.toolcalls.syntax import CallProblem, is_tool_name
from agentkit.model.toolcalls.values import as_arguments, clip, decode_json, skip_space

if TYPE_CHECKING:
    from collections.abc import Collection

    from agentkit.messages import JsonValue

__all__ = ["CALL_START", "parse_json_calls"]

CALL_START: Final = (
    r"""\[?\s*\{\s*["']?(?:name["']?\s*:\s*["']|type["']?\s*:\s*["']function|function["']?\s*:)"""
)
"""How a reply starts that means to be a JSON call (a regular expression without look-around)."""

_FORM: Final = (
    'Write each call as {"name": "tool", "arguments": {"key": "value"}} and nothing else.'
)
_ATTEMPT: Final = re.compile(
    r"""\[?\s*\{\s*(?:
        ["']?type["']?\s*:\s*["']function["']
      | ["']?name["']?\s*:\s*["'](?P<name>[^"'\\]{1,128})["']
        (?P<more>\s*,\s*["']?(?:arguments|parameters|type)["']?\s*:)?
    )""",
    re.VERBOSE,
)
_ARGUMENT_KEYS: Final = frozenset({"arguments", "parameters"})
_CALL_KEYS: Final = _ARGUMENT_KEYS | {"id", "name", "type"}


def parse_json_calls(text: str, declared: Collection[str]) -> list[ToolCallDelta] | None:
    """Return the calls that the stripped ``text`` consists of; None where it is no JSON call.

    Names are not checked against ``declared``: the gate denies an undeclared tool and says so,
    which helps the model more than silence. ``declared`` only tells a broken call from other JSON.
    Raises ``CallProblem`` where ``text`` is a broken call.
    """
    if not text.startswith(("{", "[")):
        return None
    try:
        found = _decode_all(text)
    except CallProblem as problem:
        if _starts_like_call(text, declared):
            raise CallProblem(f"{problem} {_FORM}") from None
        return None
    if not found or not _means_call(found[0], declared):
        return None
    try:
        return [_to_call(item) for item in found]
    except CallProblem as problem:
        raise CallProblem(f"{problem} {_FORM}") from None


def _decode_all(text: str) -> list[JsonValue]:
    if text.startswith("["):
        value, at = decode_json(text)
        if at != len(text):
            raise CallProblem("Text follows the array of calls.")
        return value if isinstance(value, list) else []
    found: list[JsonValue] = []
    at = 0
    while at < len(text):
        if not text.startswith("{", at):
            raise CallProblem(f"Text follows the call: {clip(text[at : at + 80])}.")
        value, at = decode_json(text, at)
        found.append(value)
        at = skip_space(text, at)
        if text.startswith(";", at):
            at = skip_space(text, at + 1)
    return found


def _starts_like_call(text: str, declared: Collection[str]) -> bool:
    match = _ATTEMPT.match(text)
    if match is None:
        return False
    return match["name"] is None or match["more"] is not None or match["name"] in declared


def _means_call(value: JsonValue, declared: Collection[str]) -> bool:
    if not isinstance(value, dict):
        return False
    if value.get("type") == "function" and ("name" in value or "function" in value):
        return True
    name = value.get("name")
    if not isinstance(name, str):
        return False
    return not _ARGUMENT_KEYS.isdisjoint(value) or (name in declared and value.keys() <= _CALL_KEYS)


def _to_call(value: JsonValue) -> ToolCallDelta:
    if not isinstance(value, dict):
        raise CallProblem("The array of calls holds something else.")
    if value.get("type", "function") != "function":
        raise CallProblem('The type of a call is "function".')
    inner = value.get("function")
    if isinstance(inner, dict) and value.keys() <= {"id", "type", "function"}:
        value = inner
    unknown = value.keys() - _CALL_KEYS
    if unknown:
        raise CallProblem(f"A call has no key {clip(min(unknown))}.")
    name = value.get("name")
    if not isinstance(name, str) or not is_tool_name(name):
        raise CallProblem("A call needs the name of a declared tool.")
    given = sorted(_ARGUMENT_KEYS & value.keys())
    if len(given) != 1:
        what = "both arguments and parameters" if given else "no arguments"
        raise CallProblem(f"The call of {clip(name)} has {what}.")
    return ToolCallDelta(name, as_arguments(value[given[0]], name))
