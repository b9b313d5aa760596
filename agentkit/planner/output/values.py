"""Values in the spellings people use: numbers and accounts together or in groups, words with any
space.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["grouped_values", "is_number", "spellings", "squeezed"]

_BETWEEN = r"[ \u00a0\u202f.,'\-]"
# IBANs begin with two letters and two digits; cards, accounts and amounts are all digits.
_GROUPED = re.compile(
    rf"\b(?:[a-z]{{2}}\d{{2}}(?:{_BETWEEN}[a-z\d]{{1,4}}){{2,8}}|\d+(?:{_BETWEEN}\d+)+)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d{5,}|[a-z]{2}\d{2}[a-z\d]{5,30}", re.IGNORECASE)


def squeezed(text: str) -> str:
    """Return the letters and digits alone, case folded."""
    return re.sub(r"[\W_]+", "", text.casefold())


def grouped_values(text: str) -> Iterator[str]:
    """Yield each number or account that is written in groups, as it stands there."""
    for found in _GROUPED.finditer(text):
        yield found[0]


def is_number(value: str) -> bool:
    """Whether a value is one number or account of at least five characters, in groups or not."""
    bare = re.sub(_BETWEEN, "", value)
    return bool(_NUMBER.fullmatch(bare)) and 2 * sum(map(str.isdigit, bare)) >= len(bare)


def spellings(value: str) -> str:
    """Return a pattern that finds a value in each of its spellings, case ignored."""
    value = unicodedata.normalize("NFC", value)
    if is_number(value):
        parts, between = list(re.sub(_BETWEEN, "", value)), rf"{_BETWEEN}?"
    else:
        parts, between = value.split(), r"\s+"
    return rf"(?<!\w){between.join(map(re.escape, parts))}(?!\w)"
