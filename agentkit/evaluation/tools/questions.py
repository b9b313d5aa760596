# ruff: noqa: E501 (a table of wordings)
"""An analyst's questions, in wordings of their own, with the value that a right answer holds."""

from __future__ import annotations

import datetime as dt
import math
import re
import statistics
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

from agentkit.evaluation.tools.score import holds

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Question", "draw_questions", "is_right"]

_NUMBER: Final = re.compile(r"-?\d[\d,]*\.?\d*")


@dataclass(frozen=True, slots=True)
class Question:
    """``value``: a number, or a text, that the answer must state."""

    text: str
    value: float | str


def is_right(answer: str, value: float | str) -> bool:
    """Whether ``answer`` states the value; numbers may be rounded to two decimals or more."""
    if isinstance(value, str):
        return holds(answer, value)
    found = [float(text.replace(",", "").rstrip(".")) for text in _NUMBER.findall(answer)]
    return any(math.isclose(number, value, rel_tol=1e-9, abs_tol=0.0051) for number in found)


def _sum_of_products(rng: Random) -> Question:
    a, b, c, d = (rng.randint(3, 400) for _ in range(4))
    return Question(
        f"How much do {a} chairs at {b} kroner plus {c} tables at {d} kroner cost?", a * b + c * d
    )


def _product(rng: Random) -> Question:
    a, b = rng.randint(12, 999), rng.randint(12, 999)
    return Question(
        rng.choice(
            [f"Could you multiply {a} by {b} for me?", f"Tell me the product of {a} and {b}."]
        ),
        a * b,
    )


def _difference(rng: Random) -> Question:
    a, b = rng.randint(2000, 90_000), rng.randint(100, 1999)
    return Question(f"Turnover was {a} and expenses were {b}. How big was the surplus?", a - b)


def _share(rng: Random) -> Question:
    p, n = rng.randint(2, 60), rng.randint(50, 9000)
    return Question(
        rng.choice(
            [
                f"Could you tell me how much {p}% of {n} is?",
                f"If {p} percent of {n} customers leave, how many is that?",
            ]
        ),
        n * p / 100,
    )


def _growth(rng: Random) -> Question:
    a, b = rng.randint(100, 900), rng.randint(901, 3000)
    return Question(
        f"Visitors rose from {a} to {b}. What is that as a percentage increase?", (b - a) / a * 100
    )


def _discount(rng: Random) -> Question:
    n, p = rng.randint(100, 4000), rng.randint(5, 60)
    return Question(
        f"A jacket is marked {n} kr and sold {p}% cheaper. What does the customer pay?",
        n * (1 - p / 100),
    )


def _mean(rng: Random) -> Question:
    items = [rng.randint(3, 300) for _ in range(rng.randint(4, 7))]
    return Question(
        f"Our daily counts were {', '.join(map(str, items))}. What was the average per day?",
        statistics.mean(items),
    )


def _median(rng: Random) -> Question:
    items = [rng.randint(3, 300) for _ in range(5)]
    return Question(
        f"Which value is the median in this list: {', '.join(map(str, items))}?",
        statistics.median(items),
    )


def _largest(rng: Random) -> Question:
    items = [rng.randint(3, 9000) for _ in range(6)]
    return Question(
        f"Of the readings {', '.join(map(str, items))}, which one is the highest?", max(items)
    )


def _total(rng: Random) -> Question:
    items = [rng.randint(3, 9000) for _ in range(6)]
    return Question(f"Please total these invoices: {', '.join(map(str, items))}.", sum(items))


def _days(rng: Random) -> Question:
    first = dt.date(2023, 1, 1) + dt.timedelta(rng.randrange(700))
    last = first + dt.timedelta(rng.randint(20, 600))
    return Question(f"How many days pass from {first} to {last}?", (last - first).days)


def _due(rng: Random) -> Question:
    first, days = dt.date(2023, 1, 1) + dt.timedelta(rng.randrange(700)), rng.randint(10, 120)
    return Question(
        f"The bill is dated {first} and payable within {days} days. On which date is it due?",
        (first + dt.timedelta(days)).isoformat(),
    )


def _weekday(rng: Random) -> Question:
    day = dt.date(2023, 1, 1) + dt.timedelta(rng.randrange(1500))
    return Question(f"Tell me the weekday of {day}.", day.strftime("%A"))


def _letters(rng: Random) -> Question:
    word = rng.choice(
        [
            "mississippi",
            "parliament",
            "reorganisation",
            "bookkeeper",
            "assessment",
            "committee",
            "preposterous",
        ]
    )
    letter = rng.choice(word)
    return Question(f"Count how often the letter {letter} occurs in '{word}'.", word.count(letter))


def _backwards(rng: Random) -> Question:
    word = rng.choice(
        ["lighthouse", "marmalade", "quarterly", "signature", "framework", "notebook"]
    )
    return Question(f"Write the word '{word}' from back to front.", word[::-1])


def _root(rng: Random) -> Question:
    n = rng.randint(12, 99)
    return Question(f"Which number is the square root of {n * n}?", n)


def _split(rng: Random) -> Question:
    people, each = rng.randint(3, 19), rng.randint(20, 900)
    return Question(
        f"{people} colleagues share a bill of {people * each} evenly. How much is it for each?",
        each,
    )


def _interest(rng: Random) -> Question:
    n, p, years = rng.randint(10, 90) * 100, rng.randint(1, 9), rng.randint(2, 12)
    return Question(
        f"What will {n} be worth after {years} years at {p}% interest per year?",
        n * (1 + p / 100) ** years,
    )


def _best(rng: Random) -> Question:
    names = rng.sample(["Bergen", "Hamar", "Molde", "Narvik", "Alta", "Larvik"], 4)
    sales = rng.sample(range(10, 900), 4)
    table = ", ".join(f"{name} {sold}" for name, sold in zip(names, sales, strict=True))
    return Question(
        f"Sales by branch: {table}. Which branch sold the most?", names[sales.index(max(sales))]
    )


def _remainder(rng: Random) -> Question:
    a, b = rng.randint(200, 9000), rng.randint(7, 60)
    return Question(f"If {a} bottles are packed in boxes of {b}, how many are left over?", a % b)


_MAKERS: Final[tuple[Callable[[Random], Question], ...]] = (
    _sum_of_products, _product, _difference, _share, _growth, _discount, _mean, _median, _largest, _total,
    _days, _due, _weekday, _letters, _backwards, _root, _split, _interest, _best, _remainder,
)  # fmt: skip


def draw_questions(count: int = 60, seed: int = 11) -> list[Question]:
    """Return questions, of each sort equally many."""
    rng = Random(seed)  # noqa: S311  # the same questions every time, no secret
    return [_MAKERS[number % len(_MAKERS)](rng) for number in range(count)]
