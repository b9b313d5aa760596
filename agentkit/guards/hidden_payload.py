"""Decoding what hidden characters spell, so that a verdict can show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["tag_payload", "variation_selector_payload", "zero_width_payload"]

_TAG_BASE = 0xE0000
_LOW_SELECTORS = 0xFE00
_HIGH_SELECTORS = 0xE0100
_LOW_COUNT = 16
# One misplaced selector is a typist's slip, as is one here and there; more are a message.
_SELECTORS_IN_A_ROW = 2
_SELECTORS_IN_ALL = 4
_BITS = 8
_SHORTEST_BIT_RUN = 16


def tag_payload(runs: Sequence[str]) -> str:
    """Return the ASCII that tag characters mirror; never empty where there is any tag character."""
    letters = [chr(ord(char) - _TAG_BASE) for run in runs for char in run]
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in letters
    )


def variation_selector_payload(runs: Sequence[str]) -> str:
    """Return the bytes that variation selectors number (0 to 255), read as UTF-8.

    Empty where there are so few that no message can be meant.
    """
    total = sum(len(run) for run in runs)
    longest = max((len(run) for run in runs), default=0)
    if longest < _SELECTORS_IN_A_ROW and total < _SELECTORS_IN_ALL:
        return ""
    numbers = bytes(_selector_number(char) for run in runs for char in run)
    return _printable(numbers)


def zero_width_payload(runs: Sequence[str]) -> str:
    """Return what a long run of two kinds of zero-width characters spells, eight bits a letter.

    Both assignments of 0 and 1 are tried; empty where neither gives printable ASCII.
    """
    for run in runs:
        kinds = sorted(set(run))
        if len(run) < _SHORTEST_BIT_RUN or len(kinds) != 2:  # noqa: PLR2004 - two kinds are bits
            continue
        for zero in kinds:
            bits = "".join("0" if char == zero else "1" for char in run)
            usable = len(bits) - len(bits) % _BITS
            letters = bytes(int(bits[i : i + _BITS], 2) for i in range(0, usable, _BITS))
            if letters.isascii() and letters.decode("ascii").isprintable():
                return letters.decode("ascii")
    return ""


def _selector_number(char: str) -> int:
    code = ord(char)
    return code - _LOW_SELECTORS if code < _HIGH_SELECTORS else code - _HIGH_SELECTORS + _LOW_COUNT


def _printable(data: bytes) -> str:
    text = data.decode("utf-8", errors="replace")
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
