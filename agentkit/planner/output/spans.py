"""Passages of other people's words that stand word by word in a text."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentkit.planner.provenance import Passage

__all__ = ["Shared", "shared_spans"]

_WORD = re.compile(r"\w+")
_TRIED = 16


@dataclass(frozen=True, slots=True)
class Shared:
    """``text[start:end]`` stands in ``passage`` too, but for case, spaces and punctuation."""

    start: int
    end: int
    passage: Passage


def shared_spans(text: str, passages: Sequence[Passage], *, words: int) -> Iterator[Shared]:
    """Yield each longest run of at least ``words`` words that a passage shares, in order."""
    index: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    known: list[list[str]] = []
    for number, passage in enumerate(passages):
        found = [word for word, _, _ in _words(passage.text)]
        known.append(found)
        for at in range(len(found) - words + 1):
            places = index.setdefault(tuple(found[at : at + words]), [])
            if len(places) < _TRIED:
                places.append((number, at))
    own = list(_words(text))
    at = 0
    while at <= len(own) - words:
        gram = tuple(word for word, _, _ in own[at : at + words])
        best, length = -1, 0
        for number, place in index.get(gram, ()):
            run = _run(own, at, known[number], place)
            if run > length:
                best, length = number, run
        if length:
            yield Shared(own[at][1], own[at + length - 1][2], passages[best])
            at += length
        else:
            at += 1


def _run(own: list[tuple[str, int, int]], at: int, other: list[str], place: int) -> int:
    length = 0
    while (
        at + length < len(own)
        and place + length < len(other)
        and own[at + length][0] == other[place + length]
    ):
        length += 1
    return length


def _words(text: str) -> Iterator[tuple[str, int, int]]:
    for found in _WORD.finditer(text):
        yield unicodedata.normalize("NFKC", found[0]).casefold(), *found.span()
