# ruff: noqa: E501, PLR2004 (tables of wordings, drawn by odds: no secret)
"""Lists and small tables for the ``python`` tool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.tool_use import values
from training.tool_use.python_values import listed, some_numbers

if TYPE_CHECKING:
    from random import Random

    from training.tool_use.python_values import Recipe

__all__ = ["order", "statistic", "table"]

_LISTS: tuple[tuple[str, str, str], ...] = (
    ("sum", "sum(x)", "sum up|add up|total"), ("average", "sum(x) / len(x)", "average|take the mean of|find the average of"),
    ("mean", "sum(x) / len(x)", "take the mean of|average"), ("maximum", "max(x)", "find the largest of|pick the biggest of"),
    ("largest number", "max(x)", "find the maximum of"), ("minimum", "min(x)", "find the smallest of|find the lowest of"),
    ("smallest number", "min(x)", "find the minimum of"), ("median", "statistics.median(x)", "find the median of"),
    ("standard deviation", "statistics.stdev(x)", "find the standard deviation of"), ("range", "max(x) - min(x)", "take the difference of largest and smallest of"),
    ("product", "math.prod(x)", "multiply together"), ("total", "sum(x)", "add together|sum"),
)  # fmt: skip


def statistic(rng: Random) -> Recipe:
    """Draw a statistic of a list."""
    items = some_numbers(rng)
    name, expression, verbs = rng.choice(_LISTS)
    said = listed(rng, items)
    request = rng.choice([
        f"What is the {name} of {said}?", f"Find the {name} of {said}.", f"Give me the {name}: {said}",
        f"{name} of {said}?", f"{rng.choice(verbs.split('|')).capitalize()} {said}.", f"My numbers are {said}. What is the {name}?",
        f"Compute the {name} of these numbers: {said}", f"We measured {said}. Calculate the {name}.", f"The sales were {said}. What is the {name}?",
    ])  # fmt: skip
    module = expression.split(".")[0]
    imported = f"import {module}\n" if module in {"statistics", "math"} else ""
    return request, f"{imported}x = {items}\nprint({expression})", f"The {name} is {{r}}."


def order(rng: Random) -> Recipe:
    """Draw sorting and counting."""
    numbers = rng.random() < 0.5
    items = (
        some_numbers(rng)
        if numbers
        else [
            rng.choice([values.word, values.person, values.city])(rng)
            for _ in range(rng.randint(3, 6))
        ]
    )
    said = ", ".join(map(str, items))
    kind = rng.randrange(3)
    if kind == 0:
        return (
            rng.choice(
                [
                    f"Sort {said}.",
                    f"Put {said} in order.",
                    f"Sort these ascending: {said}",
                    f"Arrange {said} from {'small to large' if numbers else 'A to Z'}.",
                ]
            ),
            f"print(sorted({items}))",
            "Sorted: {r}.",
        )
    if kind == 1:
        return (
            rng.choice(
                [
                    f"Sort {said} in descending order.",
                    f"Sort {said} backwards.",
                    f"Sort these from {'large to small' if numbers else 'Z to A'}: {said}",
                ]
            ),
            f"print(sorted({items}, reverse=True))",
            "Sorted: {r}.",
        )
    if rng.random() < 0.5:
        items = [*items, rng.choice(items)]
        said = ", ".join(map(str, items))
        return (
            rng.choice(
                [f"How many different values are in {said}?", f"Count the distinct items: {said}"]
            ),
            f"print(len(set({items})))",
            "There are {r} different values.",
        )
    return (
        rng.choice(
            [
                f"How many items are in {said}?",
                f"Count these: {said}",
                f"How long is the list {said}?",
            ]
        ),
        f"print(len({items}))",
        "There are {r} items.",
    )


def table(rng: Random) -> Recipe:
    """Draw a question about a small table."""
    draw = rng.choice([values.person, values.city, values.word])
    rows = {
        str(draw(rng)): rng.choice([values.quantity, values.integer])(rng)
        for _ in range(rng.randint(2, 6))
    }
    column = rng.choice(["sales", "score", "age", "price", "visits", "stock"])
    joint = rng.choice([", ", "; ", "\n"])
    form = rng.choice(["{k} {v}", "{k}: {v}", "{k} = {v}", "{k},{v}"])
    rows_said = joint.join(form.format(k=k, v=v) for k, v in rows.items())
    kind, least = rng.randrange(4), rng.choice(list(rows.values()))
    ask, code, answer = (
        (["What is the total {c}?", "Add up the {c}.", "Sum the {c} of all."], "print(sum(x.values()))", "The total is {r}."),
        (["Who has the highest {c}?", "Which one has the most {c}?", "Find the top {c}."], "print(max(x, key=x.get))", "The highest is {r}."),
        (["Who has the lowest {c}?", "Which one has the least {c}?", "Find the smallest {c}."], "print(min(x, key=x.get))", "The lowest is {r}."),
        (["What is the average {c}?", "Average the {c}.", "Mean {c}?"], "print(sum(x.values()) / len(x))", "The average is {r}."),
    )[kind]  # fmt: skip
    said = rng.choice(ask).format(c=column)
    request = rng.choice(
        [
            f"{said} {rows_said}",
            f"{column.capitalize()}: {rows_said}. {said}",
            f"Here are the {column}: {rows_said}\n{said}",
        ]
    )
    del least
    return request, f"x = {rows}\n{code}", answer
