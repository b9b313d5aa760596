"""Which characters nobody sees: their kinds, how to find them, and a text's view without them."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["HiddenRun", "View", "find_hidden", "visible_view"]

# Unicode 16: Default_Ignorable_Code_Point and the general categories Cc, Cf, Co, Cs and
# noncharacters, grouped by what they are used for. White space stays (tab, line ends, form feed),
# and so do the signs of category Cf that are seen (Arabic, Syriac and Kaithi number marks).
_RANGES: tuple[tuple[int, int, str], ...] = (
    (0x00, 0x08, "control"),
    (0x0E, 0x1F, "control"),
    (0x7F, 0x84, "control"),
    (0x86, 0x9F, "control"),
    (0xAD, 0xAD, "soft_hyphen"),
    (0x034F, 0x034F, "zero_width"),
    (0x061C, 0x061C, "bidi"),
    (0x115F, 0x1160, "invisible"),
    (0x17B4, 0x17B5, "invisible"),
    (0x180B, 0x180F, "zero_width"),
    (0x200B, 0x200D, "zero_width"),
    (0x200E, 0x200F, "bidi"),
    (0x202A, 0x202C, "bidi"),
    (0x202D, 0x202E, "bidi_override"),
    (0x2060, 0x2060, "zero_width"),
    (0x2061, 0x2065, "invisible"),
    (0x2066, 0x2069, "bidi"),
    (0x206A, 0x206F, "deprecated"),
    (0x3164, 0x3164, "invisible"),
    (0xD800, 0xDFFF, "surrogate"),
    (0xE000, 0xF8FF, "private_use"),
    (0xFDD0, 0xFDEF, "noncharacter"),
    (0xFE00, 0xFE0F, "variation_selector"),
    (0xFEFF, 0xFEFF, "zero_width"),
    (0xFFA0, 0xFFA0, "invisible"),
    (0xFFF0, 0xFFF8, "deprecated"),
    (0xFFF9, 0xFFFC, "annotation"),
    (0xFFFE, 0xFFFF, "noncharacter"),
    (0x13430, 0x1343F, "invisible"),
    (0x1BCA0, 0x1BCA3, "invisible"),
    (0x1D173, 0x1D17A, "invisible"),
    *((plane << 16 | 0xFFFE, plane << 16 | 0xFFFF, "noncharacter") for plane in range(1, 14)),
    (0xE0000, 0xE007F, "tag"),
    (0xE0080, 0xE00FF, "deprecated"),
    (0xE0100, 0xE01EF, "variation_selector"),
    (0xE01F0, 0xE0FFF, "deprecated"),
    (0xEFFFE, 0xEFFFF, "noncharacter"),
    (0xF0000, 0x10FFFF, "private_use"),
)
_STARTS = tuple(first for first, _, _ in _RANGES)

# One plain character class lets the engine skip text quickly; the kind is looked up afterwards.
_ANY = re.compile(
    "[" + "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last, _ in _RANGES) + "]"
)

# Kinds that nothing beside them makes legitimate: a whole run is one finding.
_WHOLE_RUNS = {
    kind: re.compile(
        "["
        + "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last, name in _RANGES if name == kind)
        + "]+"
    )
    for kind in ("tag", "bidi_override", "invisible", "deprecated", "private_use", "surrogate")
}

# A terminal escape sequence is one finding from ESC to its final byte; every part is bounded and
# stops at the next ESC, so the search stays linear.
_ANSI = re.compile(
    r"\x1b\[[0-?]{0,64}+[ -/]{0,8}+[@-~]"
    r"|\x1b\][^\x07\x1b]{0,2048}+(?:\x07|\x1b\\)"
    r"|\x1b[PX^_][^\x1b]{0,2048}+\x1b\\"
    r"|\x9b[0-?]{0,64}+[ -/]{0,8}+[@-~]"
)
_ANSI_STARTS = "\x1b\x9b"


class HiddenRun(NamedTuple):
    """Hidden characters of one kind at ``[start, end)``; a tuple, for hostile texts have many."""

    kind: str
    start: int
    end: int


def find_hidden(text: str) -> Iterator[HiddenRun]:
    """Yield hidden characters, runs of them, and terminal escape sequences, in order; linear."""
    position = 0
    while (hit := _ANY.search(text, position)) is not None:
        start, char = hit.start(), hit.group()
        sequence = _ANSI.match(text, start) if char in _ANSI_STARTS else None
        if sequence is not None:
            kind, position = "ansi", sequence.end()
        else:
            kind = _RANGES[bisect_right(_STARTS, ord(char)) - 1][2]
            run = _WHOLE_RUNS[kind].match(text, start) if kind in _WHOLE_RUNS else None
            position = run.end() if run else hit.end()
        yield HiddenRun(kind, start, position)


@dataclass(frozen=True, slots=True)
class View:
    """A text derived from another. ``offsets[i]``: where character ``i`` stood in the original."""

    text: str
    offsets: Sequence[int]

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Return the original's offsets of the view's non-empty passage ``[start, end)``."""
        return self.offsets[start], self.offsets[end - 1] + 1


def visible_view(text: str) -> View:
    """Return the text as a person sees it: everything that ``find_hidden`` finds taken out."""
    pieces: list[str] = []
    offsets = array("I")
    position = 0
    for run in find_hidden(text):
        pieces.append(text[position : run.start])
        offsets.extend(range(position, run.start))
        position = run.end
    if position == 0:
        return View(text, range(len(text)))
    pieces.append(text[position:])
    offsets.extend(range(position, len(text)))
    return View("".join(pieces), offsets)
