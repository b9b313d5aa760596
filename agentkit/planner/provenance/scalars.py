"""The scalars of a JSON text, each with its path and where it stands in the text.

What is covered: one JSON value and white space around it; nothing else counts as JSON. An object
that names a member twice does not either: readers differ in which of the two they take.
"""

from __future__ import annotations

from dataclasses import dataclass
from json import JSONDecodeError, JSONDecoder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Scalar", "Steps", "json_scalars", "matches", "shown_path"]

Steps = tuple[str | int, ...]
"""The way to one value: names of members and positions in lists."""

_DEEPEST = 64
_SPACE = " \t\n\r"


@dataclass(frozen=True, slots=True)
class Scalar:
    """One scalar: ``text[start:end]`` of the JSON text, which a string's quotes belong to."""

    steps: Steps
    value: str | int | float | bool | None
    start: int
    end: int


def json_scalars(text: str) -> tuple[Scalar, ...] | None:
    """Return the scalars of a JSON object or list in order; None where the text is neither."""
    if text.lstrip(_SPACE)[:1] not in {"{", "["}:
        return None
    walk = _Walk(text)
    try:
        end = walk.value(0, ())
    except (JSONDecodeError, ValueError, IndexError):
        return None
    return tuple(walk.found) if not text[end:].strip(_SPACE) else None


def matches(steps: Steps, pattern: Sequence[str]) -> bool:
    """Whether ``steps`` lead to, or below, what a field path names (``*``: any position)."""
    return len(steps) >= len(pattern) and all(
        isinstance(step, int) if wanted == "*" else step == wanted
        for step, wanted in zip(steps, pattern, strict=False)
    )


def shown_path(steps: Steps) -> str:
    """Return the path as people read it: ``$.messages[0].id``."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


class _Walk:
    def __init__(self, text: str) -> None:
        self._text = text
        self._scalar = JSONDecoder(parse_constant=_refuse).raw_decode
        self.found: list[Scalar] = []

    def value(self, at: int, steps: Steps) -> int:
        """Read one value; return where it ends."""
        if len(steps) > _DEEPEST:
            raise ValueError("nested too deeply")
        at = self._skip(at)
        if self._text[at] == "{":
            return self._members(at + 1, steps)
        if self._text[at] == "[":
            return self._items(at + 1, steps)
        value, end = self._scalar(self._text, at)
        self.found.append(Scalar(steps, value, at, end))
        return end

    def _members(self, at: int, steps: Steps) -> int:
        seen: set[str] = set()
        at = self._skip(at)
        while self._text[at] != "}":
            if seen:
                at = self._skip(self._expect(",", at))
            name, at = self._scalar(self._text, at)
            if not isinstance(name, str) or name in seen:
                raise ValueError("a member's name is no string, or repeated")
            seen.add(name)
            at = self._expect(":", self._skip(at))
            at = self._skip(self.value(at, (*steps, name)))
        return at + 1

    def _items(self, at: int, steps: Steps) -> int:
        count = 0
        at = self._skip(at)
        while self._text[at] != "]":
            if count:
                at = self._expect(",", at)
            at = self._skip(self.value(at, (*steps, count)))
            count += 1
        return at + 1

    def _skip(self, at: int) -> int:
        while self._text[at] in _SPACE:
            at += 1
        return at

    def _expect(self, character: str, at: int) -> int:
        if self._text[at] != character:
            raise ValueError(f"no {character!r} at {at}")
        return at + 1


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
