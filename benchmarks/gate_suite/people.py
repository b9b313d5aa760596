"""Invented Norwegian people and companies that every toolset draws from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

__all__ = ["COLLEAGUES", "SUPPLIERS", "address", "draw_people"]

COLLEAGUES = (
    "Ola Hansen", "Ingrid Solberg", "Per Bakken", "Astrid Lund", "Henrik Dahl", "Sunniva Moen",
    "Torbjørn Vik", "Marit Haugen", "Eirik Strand", "Guro Nygård", "Lars Tveit", "Nina Åsheim",
)  # fmt: skip
SUPPLIERS = (
    "Fjellkraft AS", "Bryggen Regnskap AS", "Nordlys Trykkeri AS", "Havblikk Renhold AS",
    "Tindekontor AS", "Granli Byggservice AS",
)  # fmt: skip

_LETTERS = str.maketrans({"ø": "o", "å": "a", "æ": "ae", "é": "e", " ": "."})


def address(name: str, domain: str = "fjordtall.example") -> str:
    """Return the mail address of a person."""
    return f"{name.lower().translate(_LETTERS)}@{domain}"


def draw_people(rng: random.Random, count: int) -> list[str]:
    """Draw colleagues without repetition; the first three are always there."""
    rest = list(COLLEAGUES[3:])
    rng.shuffle(rest)
    return [*COLLEAGUES[:3], *rest[: count - 3]]
