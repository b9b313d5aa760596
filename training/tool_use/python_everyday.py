# ruff: noqa: PLR2004 (tables of wordings, drawn by odds: no secret)
"""Sums from daily life for the ``python`` tool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.tool_use import values

if TYPE_CHECKING:
    from random import Random

    from training.tool_use.python_values import Recipe

__all__ = ["daily"]


def daily(rng: Random) -> Recipe:
    """Draw a sum from daily life."""
    a, b, c = values.amount(rng), values.quantity(rng), values.quantity(rng)
    item, who = values.word(rng), values.person(rng)
    kind = rng.randrange(8)
    if kind == 0:
        return (
            rng.choice(
                [
                    f"{b} {item}s cost {a} each. What is the total?",
                    f"I buy {b} {item}s at {a} each. What do I pay?",
                    f"What do {b} {item}s cost at {a} apiece?",
                    f"{who} orders {b} units of {item} for {a} each; total?",
                ]
            ),
            f"print({b} * {a})",
            "The total is {r}.",
        )
    if kind == 1:
        return (
            rng.choice(
                [
                    f"{a} is shared by {c} people. How much does each pay?",
                    f"Split a bill of {a} between {c} people.",
                    f"Divide {a} equally among {c} friends.",
                    f"We are {c} and the bill is {a}. What does each of us pay?",
                ]
            ),
            f"print({a} / {c})",
            "Each pays {r}.",
        )
    if kind == 2:
        return (
            rng.choice(
                [
                    f"How many minutes are {b} hours and {c} minutes?",
                    f"{b} hours {c} minutes in minutes?",
                ]
            ),
            f"print({b} * 60 + {c})",
            "That is {r} minutes.",
        )
    if kind == 3:
        return (
            rng.choice(
                [
                    f"A car drives {a} km in {b} hours. What is its speed?",
                    f"What is the speed if {a} km take {b} hours?",
                    f"{who} cycled {a} km in {b} hours. How fast was that in km/h?",
                ]
            ),
            f"print({a} / {b})",
            "The speed is {r} km/h.",
        )
    if kind == 4:
        return (
            rng.choice(
                [
                    f"A room is {b} by {c} metres. What is its area?",
                    f"What is the area of a rectangle of {b} by {c}?",
                    f"Area of {b} x {c}?",
                ]
            ),
            f"print({b} * {c})",
            "The area is {r}.",
        )
    if kind == 5:
        y, p = rng.randint(2, 20), rng.randint(1, 12)
        return (
            rng.choice(
                [
                    f"What do {a} become after {y} years at {p}% interest?",
                    f"Compound {a} at {p}% for {y} years.",
                    f"I save {a} at {p} percent a year. What do I have after {y} years?",
                ]
            ),
            f"print({a} * (1 + {p} / 100) ** {y})",
            "The amount is {r}.",
        )
    if kind == 6:
        return (
            rng.choice(
                [
                    f"Revenue is {a + b} and cost is {b}. What is the profit?",
                    f"We earned {a + b} and spent {b}. What is left?",
                    f"{who} had {a + b} and paid {b}. How much remains?",
                ]
            ),
            f"print({a + b} - {b})",
            "The difference is {r}.",
        )
    return (
        rng.choice(
            [
                f"{who} works {b} hours a week at {a} an hour. What is the weekly pay?",
                f"What is the pay for {b} hours at {a} per hour?",
                f"{b} hours at {a} an hour?",
            ]
        ),
        f"print({b} * {a})",
        "The pay is {r}.",
    )
