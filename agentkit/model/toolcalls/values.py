"""A call's arguments as strict JSON (``agentkit.strict_json``), with problems told to the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentkit import strict_json
from agentkit.model.toolcalls.syntax import CallProblem
from agentkit.strict_json import MAX_DEPTH, JsonProblem, clip

if TYPE_CHECKING:
    from agentkit.messages import JsonObject, JsonValue

__all__ = ["MAX_DEPTH", "as_arguments", "check_value", "clip", "decode_json", "skip_space"]

_WHITE_SPACE: Final = " \t\n\r"


def skip_space(text: str, at: int) -> int:
    """Return the first position from ``at`` that is not JSON white space."""
    while at < len(text) and text[at] in _WHITE_SPACE:
        at += 1
    return at


def decode_json(text: str, at: int = 0) -> tuple[JsonValue, int]:
    """Read one JSON value at ``at``; return it and the position after it.

    Raises ``CallProblem`` and nothing else. Takes time linear in the text.
    """
    try:
        return strict_json.decode_json(text, at)
    except JsonProblem as problem:
        raise CallProblem(str(problem)) from None


def check_value(value: JsonValue) -> None:
    """Raise ``CallProblem`` where ``value`` is not strict JSON."""
    try:
        strict_json.check_value(value)
    except JsonProblem as problem:
        raise CallProblem(str(problem)) from None


def as_arguments(value: JsonValue, name: str) -> JsonObject:
    """Return a call's arguments: an object, or a string that holds one as JSON.

    Backends send both forms, and nothing at all where there are no arguments. ``name``: the tool,
    for the problem's sentence. Raises ``CallProblem``.
    """
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        text = value.strip(_WHITE_SPACE)
        value, end = decode_json(text) if text else ({}, 0)
        if end != len(text):
            raise CallProblem(f"The arguments of {clip(name)} go on after their JSON object.")
    if not isinstance(value, dict):
        raise CallProblem(f"The arguments of {clip(name)} must be one JSON object.")
    return value
