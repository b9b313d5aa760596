"""Strict JSON, bounded: what a call's arguments may be, whoever wrote them.

JSON as in RFC 7493 (I-JSON): no duplicate keys, no NaN or infinities, integers within ±(2^53 - 1)
(the audit log hashes canonical JSON, RFC 8785, in which larger ones have no exact form), no
unpaired surrogates, at most ``MAX_DEPTH`` levels, so that no later room meets a recursion bomb.
Control characters inside strings are taken as they are: models write them, and a string still ends
only at its closing quote.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from agentkit.messages import JsonObject, JsonValue

__all__ = ["MAX_DEPTH", "JsonProblem", "check_value", "clip", "decode_json", "unique_keys"]

MAX_DEPTH: Final = 64
"""Levels of nested lists and objects in one call."""

_MAX_INTEGER: Final = 2**53 - 1
_MAX_INTEGER_DIGITS: Final = 17


class JsonProblem(ValueError):
    """Why text or a value is not JSON within this module's bounds: one sentence."""


def clip(text: str, limit: int = 60) -> str:
    """Return ``text`` as a quoted literal of about ``limit`` characters, safe inside a sentence."""
    shown = text if len(text) <= limit else text[:limit] + "…"
    return ascii(shown) if not shown.isprintable() else f"'{shown}'"


def _integer(digits: str) -> int:
    if len(digits) > _MAX_INTEGER_DIGITS:  # before int(), which is quadratic and has its own limit
        raise JsonProblem(_integer_problem())
    return int(digits)


def _integer_problem() -> str:
    return "An integer is too large to be exact in JSON; write it as a string."


def _constant(name: str) -> NoReturn:
    raise JsonProblem(f"{name} is no JSON number; leave it out or write null.")


def unique_keys(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    """Return an object of ``pairs``. Raises ``JsonProblem`` where a key stands twice."""
    found: JsonObject = {}
    for key, value in pairs:
        if key in found:
            raise JsonProblem(f"The key {clip(key)} stands twice in one object; write it once.")
        found[key] = value
    return found


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=unique_keys, parse_constant=_constant, parse_int=_integer, strict=False
)


def decode_json(text: str, at: int = 0) -> tuple[JsonValue, int]:
    """Read one JSON value at ``at``; return it and the position after it.

    Raises ``JsonProblem`` and nothing else. Takes time linear in the text.
    """
    try:
        value: JsonValue
        value, end = _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise JsonProblem(
            f"The JSON is broken at character {error.pos}: {error.msg.lower()}."
        ) from None
    except RecursionError:
        raise JsonProblem(_depth_problem()) from None
    check_value(value)
    return value, end


def _depth_problem() -> str:
    return f"The value is nested deeper than {MAX_DEPTH} levels; flatten it."


def check_value(value: JsonValue) -> None:
    """Raise ``JsonProblem`` where ``value`` is not JSON within this module's bounds."""
    rest = [(value, 0)]
    while rest:
        item, depth = rest.pop()
        if isinstance(item, str):
            _check_text(item)
        elif isinstance(item, dict | list):
            if depth >= MAX_DEPTH:
                raise JsonProblem(_depth_problem())
            if isinstance(item, dict):
                for key in item:
                    _check_text(key)
            inner = item.values() if isinstance(item, dict) else item
            rest.extend((child, depth + 1) for child in inner)
        elif isinstance(item, float) and not math.isfinite(item):
            raise JsonProblem("A number is not finite; JSON has no such number.")
        elif isinstance(item, int) and abs(item) > _MAX_INTEGER:
            raise JsonProblem(_integer_problem())


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise JsonProblem(
            "A string holds an unpaired surrogate (\\ud800-\\udfff); write the character itself."
        ) from None
