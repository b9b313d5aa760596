"""The nearest known word to a mistyped one."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["closest"]


def closest(word: str, known: Iterable[str]) -> str:
    """Return the word of ``known`` that is most like ``word``, empty if none is like it.

    Case and ``-`` for ``_`` are not held against it.
    """
    by_fold = {name.casefold().replace("-", "_"): name for name in known}
    found = difflib.get_close_matches(word.casefold().replace("-", "_")[:100], by_fold, n=1)
    return by_fold[found[0]] if found else ""
