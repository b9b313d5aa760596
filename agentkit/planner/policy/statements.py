"""Cedar text cut into its policies, each with the place it stands at.

Cedar's parser says what it could not read, not where; with one policy a statement every fault has
its file and line. Only comments, strings and semicolons are told apart here, the rest is Cedar's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Statement", "cut"]

# A comment, a string with its escapes, a string that nothing closes, or the end of a statement.
_TOKEN = re.compile(r'//[^\n]*|"(?:\\.|[^"\\])*"|"|;', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Statement:
    """One policy as written. ``place``: ``file:line`` of its first character."""

    text: str
    place: str


def cut(text: str, name: str) -> tuple[Statement, ...]:
    """Return the statements of a Cedar text; what follows the last semicolon is one too.

    ``name``: how the text's file is named in places.
    """
    found: list[Statement] = []
    start = 0
    for token in _TOKEN.finditer(text):
        if token[0] == '"':
            break  # never closed: the rest is one statement, which Cedar will refuse
        if token[0] == ";":
            _keep(found, text, start, token.end(), name)
            start = token.end()
    _keep(found, text, start, len(text), name)
    return tuple(found)


def _keep(found: list[Statement], text: str, start: int, end: int, name: str) -> None:
    first = re.compile(r"(?:\s|//[^\n]*(?:\n|$))*").match(text, start, end)
    begin = first.end() if first else start
    if begin < end:
        line = text.count("\n", 0, begin) + 1
        found.append(Statement(text[begin:end], f"{name}:{line}"))
