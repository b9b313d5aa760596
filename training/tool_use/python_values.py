# ruff: noqa: PLR2004 (tables of wordings, drawn by odds: no secret)
"""What recipes of Python tasks are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from training.tool_use import values

if TYPE_CHECKING:
    from random import Random

__all__ = ["Recipe", "a_number", "listed", "some_numbers"]

Recipe: TypeAlias = tuple[str, str, str]
"""Request, code that prints the result, and the answer with ``{r}`` for it."""


def a_number(rng: Random) -> str:
    """Draw a number of any size, as it is written."""
    return str(rng.choice([values.integer, values.quantity, values.number])(rng))


def some_numbers(rng: Random, least: int = 3, most: int = 8) -> list[int | float]:
    """Draw a list of numbers of one sort."""
    draw = rng.choice([values.quantity, values.quantity, values.integer, values.number])
    return [draw(rng) for _ in range(rng.randint(least, most))]


def listed(rng: Random, items: list[int | float]) -> str:
    """Return the numbers as somebody would list them."""
    words = [str(item) for item in items]
    if rng.random() < 0.4:
        return f"{', '.join(words[:-1])} and {words[-1]}"
    return ", ".join(words)
