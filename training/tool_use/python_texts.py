# ruff: noqa: E501, PLR2004 (tables of wordings, drawn by odds: no secret)
"""Texts and dates for the ``python`` tool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.tool_use import values

if TYPE_CHECKING:
    from random import Random

    from training.tool_use.python_values import Recipe

__all__ = ["dates", "text_task"]

_TEXTS: tuple[tuple[str, str, str], ...] = (
    ("How many letters are in '{t}'?|How many characters has '{t}'?|What is the length of '{t}'?|How long is the text \"{t}\"?", "print(len({q}))", "It has {r} characters."),
    ("How many words are in '{t}'?|Count the words in \"{t}\".|Number of words of '{t}'?", "print(len({q}.split()))", "It has {r} words."),
    ("Reverse '{t}'.|Spell '{t}' backwards.|What is \"{t}\" backwards?|Write '{t}' in reverse.", "print({q}[::-1])", "Reversed: {r}"),
    ("Write '{t}' in capital letters.|Put \"{t}\" in upper case.|Uppercase '{t}'.|{t} in capitals, please", "print({q}.upper())", "In capitals: {r}"),
    ("Make '{t}' lower case.|Write \"{t}\" in small letters.|Lowercase '{t}'.", "print({q}.lower())", "In lower case: {r}"),
    ("How many times does '{c}' appear in '{t}'?|Count the letter {c} in '{t}'.|How often is {c} in \"{t}\"?|How many {c}'s are there in {t}?", "print({q}.count('{c}'))", "It appears {r} times."),
    ("Is '{t}' a palindrome?|Does \"{t}\" read the same backwards?", "print({q} == {q}[::-1])", "The result is {r}."),
    ("Replace {c} by {d} in '{t}'.|In \"{t}\", change every {c} to {d}.", "print({q}.replace('{c}', '{d}'))", "The text is now: {r}"),
    ("What is the longest word in '{t}'?|Find the longest word of \"{t}\".", "print(max({q}.split(), key=len))", "The longest word is {r}."),
    ("Capitalise each word of '{t}'.|Write \"{t}\" in title case.", "print({q}.title())", "The text is: {r}"),
    ("How many vowels are in '{t}'?|Count the vowels of \"{t}\".", "print(sum(c in 'aeiou' for c in {q}))", "It has {r} vowels."),
)  # fmt: skip


def text_task(rng: Random) -> Recipe:
    """Draw work on a text."""
    requests, code, answer = rng.choice(_TEXTS)
    text = values.word(rng) if rng.random() < 0.4 else values.phrase(rng, 5)
    letter, other = rng.choice(text.replace(" ", "")), rng.choice("abcdeimnorst")
    request = rng.choice(requests.split("|")).format(t=text, c=letter, d=other)
    return request, code.format(q=repr(text), c=letter, d=other), answer


def dates(rng: Random) -> Recipe:
    """Draw reckoning with dates."""
    a, b = sorted([values.date(rng), values.date(rng)])

    def d(text: str) -> str:
        year, month, day = (int(part) for part in text.split("-"))
        return f"date({year}, {month}, {day})"

    n = rng.choice([values.quantity(rng), rng.randint(2, 400)])
    kind = rng.randrange(5)
    if kind <= 1:
        return (
            rng.choice(
                [
                    f"How many days are there between {a} and {b}?",
                    f"Days from {a} to {b}?",
                    f"How many days lie between {a} and {b}?",
                    f"How long is it from {a} to {b} in days?",
                    f"A contract runs from {a} to {b}. How many days is that?",
                    f"Count the days from {a} until {b}.",
                ]
            ),
            f"from datetime import date\nprint(({d(b)} - {d(a)}).days)",
            "There are {r} days between them.",
        )
    if kind == 2:
        return (
            rng.choice(
                [
                    f"What weekday is {a}?",
                    f"Which day of the week was {a}?",
                    f"On what weekday does {a} fall?",
                    f"What day of the week is {a}?",
                ]
            ),
            f"from datetime import date\nprint({d(a)}.strftime('%A'))",
            f"{a} is a {{r}}.",
        )
    if kind == 3:
        return (
            rng.choice(
                [
                    f"What date is {n} days after {a}?",
                    f"Add {n} days to {a}.",
                    f"{a} plus {n} days?",
                    f"An invoice of {a} is due in {n} days. When is that?",
                    f"Which date comes {n} days after {a}?",
                ]
            ),
            f"from datetime import date, timedelta\nprint({d(a)} + timedelta(days={n}))",
            "The date is {r}.",
        )
    return (
        rng.choice(
            [
                f"What date is {n} days before {a}?",
                f"Subtract {n} days from {a}.",
                f"{a} minus {n} days?",
                f"What was the date {n} days before {a}?",
            ]
        ),
        f"from datetime import date, timedelta\nprint({d(a)} - timedelta(days={n}))",
        "The date is {r}.",
    )
