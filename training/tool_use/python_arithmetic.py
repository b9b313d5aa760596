# ruff: noqa: E501, PLR2004 (tables of wordings, drawn by odds: no secret)
"""Arithmetic for the ``python`` tool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.tool_use import values
from training.tool_use.python_values import a_number

if TYPE_CHECKING:
    from random import Random

    from training.tool_use.python_values import Recipe

__all__ = ["expression", "number_theory", "percent", "power", "two_numbers"]

_OPERATORS = {"+": ("plus", "added to", "+"), "-": ("minus", "less", "-"), "*": ("times", "multiplied by", "x", "*"), "/": ("divided by", "over", "/")}  # fmt: skip
_ASK = ("What is {e}?", "Calculate {e}.", "Compute {e}.", "{e} = ?", "How much is {e}?", "Work out {e}", "I need {e}.", "{e}?")  # fmt: skip


def two_numbers(rng: Random) -> Recipe:
    """Draw an operation on two numbers."""
    a, b = a_number(rng), a_number(rng)
    op = rng.choice(list(_OPERATORS))
    spoken = f"{a} {rng.choice(_OPERATORS[op])} {b}"
    code = f"print({a} {op} {b})"
    return (
        rng.choice(_ASK).format(e=spoken),
        code,
        rng.choice([f"{spoken} is {{r}}.", "The result is {r}."]),
    )


def expression(rng: Random) -> Recipe:
    """Draw an expression."""
    a, b, c, d = (a_number(rng) for _ in range(4))
    ops = [rng.choice("+-*") for _ in range(3)]
    e = rng.choice(
        [
            f"({a} {ops[0]} {b}) {ops[1]} {c}",
            f"{a} {ops[0]} {b} {ops[1]} {c}",
            f"({a} {ops[0]} {b}) * ({c} {ops[1]} {d})",
            f"{a} {ops[0]} {b} {ops[1]} {c} {ops[2]} {d}",
        ]
    )
    return (
        rng.choice(_ASK).format(e=e),
        f"print({e})",
        rng.choice([f"{e} = {{r}}.", "The result is {r}."]),
    )


def power(rng: Random) -> Recipe:
    """Draw a power, a root or a remainder."""
    a, b = rng.randint(2, 40), rng.randint(2, 9)
    kind = rng.randrange(4)
    if kind == 0:
        return (
            rng.choice(
                [
                    f"What is {a} to the power of {b}?",
                    f"Compute {a} to the {b}th power.",
                    f"{a} ^ {b}?",
                    f"Raise {a} to {b}.",
                ]
            ),
            f"print({a} ** {b})",
            f"{a} to the power of {b} is {{r}}.",
        )
    if kind == 1:
        return (
            rng.choice([f"What is the square of {a}?", f"{a} squared?", f"Square {a}."]),
            f"print({a} ** 2)",
            f"The square of {a} is {{r}}.",
        )
    if kind == 2:
        n = values.integer(rng)
        return (
            rng.choice(
                [f"What is the square root of {n}?", f"Square root of {n}, please.", f"sqrt {n}"]
            ),
            f"import math\nprint(math.sqrt({n}))",
            f"The square root of {n} is {{r}}.",
        )
    m, n = values.integer(rng) + 100, rng.randint(3, 97)
    return (
        rng.choice(
            [
                f"What is the remainder of {m} divided by {n}?",
                f"{m} modulo {n}?",
                f"Divide {m} by {n}, what remains?",
            ]
        ),
        f"print({m} % {n})",
        "The remainder is {r}.",
    )


def percent(rng: Random) -> Recipe:
    """Draw a sum with percents."""
    p, n, m = (
        rng.choice([rng.randint(1, 99), round(rng.uniform(1, 30), 1)]),
        a_number(rng),
        a_number(rng),
    )
    kind = rng.randrange(5)
    if kind == 0:
        return (
            rng.choice(
                [
                    f"What is {p}% of {n}?",
                    f"{p} percent of {n}?",
                    f"Calculate {p}% of {n}.",
                    f"How much is {p} percent of {n}?",
                ]
            ),
            f"print({n} * {p} / 100)",
            f"{p}% of {n} is {{r}}.",
        )
    if kind == 1:
        return (
            rng.choice(
                [
                    f"Increase {n} by {p}%.",
                    f"Add {p} percent to {n}.",
                    f"{n} plus {p}%?",
                    f"The price is {n} plus {p}% VAT. What is the total?",
                    f"A price of {n} rises by {p}%. What is the new price?",
                    f"My salary is {n} and I get {p}% more. What is it then?",
                ]
            ),
            f"print({n} * (1 + {p} / 100))",
            "The new value is {r}.",
        )
    if kind == 2:
        return (
            rng.choice(
                [
                    f"Take {p}% off {n}.",
                    f"What is {n} with a {p}% discount?",
                    f"Reduce {n} by {p} percent.",
                    f"A coat costs {n}; with {p}% off, what do I pay?",
                ]
            ),
            f"print({n} * (1 - {p} / 100))",
            "The new value is {r}.",
        )
    if kind == 3:
        return (
            rng.choice(
                [
                    f"By how many percent did it change from {n} to {m}?",
                    f"What is the percentage change from {n} to {m}?",
                    f"Sales went from {n} to {m}. What is the growth in percent?",
                    f"Percent change, {n} to {m}?",
                ]
            ),
            f"print(({m} - {n}) / {n} * 100)",
            "The change is {r} percent.",
        )
    return (
        rng.choice(
            [
                f"What percentage is {n} of {m}?",
                f"{n} out of {m}, in percent?",
                f"How many percent of {m} are {n}?",
            ]
        ),
        f"print({n} / {m} * 100)",
        f"{n} is {{r}} percent of {m}.",
    )


def number_theory(rng: Random) -> Recipe:
    """Draw a question about whole numbers."""
    n, m = rng.randint(3, 200), rng.randint(3, 60)
    kind = rng.randrange(7)
    if kind == 0:
        return (
            rng.choice([f"Is {n} a prime number?", f"Check if {n} is prime."]),
            f"n = {n}\nprint(n > 1 and all(n % i for i in range(2, n)))",
            f"Whether {n} is prime: {{r}}.",
        )
    if kind == 1:
        return (
            rng.choice([f"What is the factorial of {m}?", f"{m}!", f"Compute {m} factorial."]),
            f"import math\nprint(math.factorial({m}))",
            "The factorial is {r}.",
        )
    if kind == 2:
        return (
            rng.choice(
                [f"What is the greatest common divisor of {n} and {m}?", f"gcd of {n} and {m}?"]
            ),
            f"import math\nprint(math.gcd({n}, {m}))",
            "The greatest common divisor is {r}.",
        )
    if kind == 3:
        x, k = round(rng.uniform(1, 1000), 5), rng.randint(1, 3)
        return (
            rng.choice([f"Round {x} to {k} decimals.", f"{x} rounded to {k} places?"]),
            f"print(round({x}, {k}))",
            "Rounded: {r}.",
        )
    if kind == 4:
        return (
            rng.choice([f"What is {n} in binary?", f"Write {n} as a binary number."]),
            f"print(bin({n}))",
            f"{n} in binary is {{r}}.",
        )
    if kind == 5:
        return (
            rng.choice(
                [
                    f"What is the sum of the numbers from {m} to {m + n}?",
                    f"Add all whole numbers from {m} to {m + n}.",
                ]
            ),
            f"print(sum(range({m}, {m + n + 1})))",
            "The sum is {r}.",
        )
    return (
        rng.choice(
            [
                f"List the multiples of {m} up to {m * 6}.",
                f"Give me the multiples of {m} until {m * 6}.",
            ]
        ),
        f"print(list(range({m}, {m * 6 + 1}, {m})))",
        "They are {r}.",
    )
