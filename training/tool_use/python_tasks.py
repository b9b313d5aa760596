# ruff: noqa: E501, PLR2004 (tables of wordings, drawn by odds: no secret)
"""Tasks for the ``python`` tool: the code is written, run here, and its output is the result."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

from training.tool_use import values
from training.tool_use.task import Call, Task, declare, parameter

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from agentkit.messages import FunctionDeclaration

__all__ = ["python_declaration", "python_task", "run_code"]

_Recipe = "tuple[str, str, str]"  # request, code, answer with {r}


def python_declaration(rng: Random) -> FunctionDeclaration:
    """Return the product's own declaration most of the time, else a like one."""
    if rng.random() < 0.75:
        return declare(
            "python",
            "Run Python and return what it prints",
            {"code": parameter("string", "Python source; print the result")},
            frozenset(),
        )
    return declare(
        rng.choice(["python", "run_python", "python_interpreter", "execute_python", "code_runner"]),
        rng.choice(["Run Python code", "Execute Python and return its output", "Python interpreter"]),
        {rng.choice(["code", "code", "source", "script", "program"]): parameter("string", rng.choice(["", "Python code", "code that prints"]))},
        frozenset(),
    )  # fmt: skip


def run_code(code: str) -> str:
    """Return what our own generated code prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, "<task>", "exec"), {})  # noqa: S102  # code written in this file
    return output.getvalue().strip()


def _n(rng: Random) -> str:
    return str(rng.choice([values.integer, values.quantity, values.number])(rng))


def _list(rng: Random, least: int = 3, most: int = 8) -> list[int | float]:
    draw = rng.choice([values.quantity, values.quantity, values.integer, values.number])
    return [draw(rng) for _ in range(rng.randint(least, most))]


def _said(rng: Random, items: list[int | float]) -> str:
    words = [str(item) for item in items]
    if rng.random() < 0.4:
        return f"{', '.join(words[:-1])} and {words[-1]}"
    return ", ".join(words)


_OPERATORS = {"+": ("plus", "added to", "+"), "-": ("minus", "less", "-"), "*": ("times", "multiplied by", "x", "*"), "/": ("divided by", "over", "/")}  # fmt: skip
_ASK = ("What is {e}?", "Calculate {e}.", "Compute {e}.", "{e} = ?", "How much is {e}?", "Work out {e}", "I need {e}.", "{e}?")  # fmt: skip


def _two(rng: Random) -> tuple[str, str, str]:
    a, b = _n(rng), _n(rng)
    op = rng.choice(list(_OPERATORS))
    spoken = f"{a} {rng.choice(_OPERATORS[op])} {b}"
    code = f"print({a} {op} {b})"
    return (
        rng.choice(_ASK).format(e=spoken),
        code,
        rng.choice([f"{spoken} is {{r}}.", "The result is {r}."]),
    )


def _expression(rng: Random) -> tuple[str, str, str]:
    a, b, c, d = (_n(rng) for _ in range(4))
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


def _power(rng: Random) -> tuple[str, str, str]:
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


def _percent(rng: Random) -> tuple[str, str, str]:
    p, n, m = rng.choice([rng.randint(1, 99), round(rng.uniform(1, 30), 1)]), _n(rng), _n(rng)
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


_LISTS: tuple[tuple[str, str, str], ...] = (
    ("sum", "sum(x)", "sum up|add up|total"), ("average", "sum(x) / len(x)", "average|take the mean of|find the average of"),
    ("mean", "sum(x) / len(x)", "take the mean of|average"), ("maximum", "max(x)", "find the largest of|pick the biggest of"),
    ("largest number", "max(x)", "find the maximum of"), ("minimum", "min(x)", "find the smallest of|find the lowest of"),
    ("smallest number", "min(x)", "find the minimum of"), ("median", "statistics.median(x)", "find the median of"),
    ("standard deviation", "statistics.stdev(x)", "find the standard deviation of"), ("range", "max(x) - min(x)", "take the difference of largest and smallest of"),
    ("product", "math.prod(x)", "multiply together"), ("total", "sum(x)", "add together|sum"),
)  # fmt: skip


def _statistic(rng: Random) -> tuple[str, str, str]:
    items = _list(rng)
    name, expression, verbs = rng.choice(_LISTS)
    said = _said(rng, items)
    request = rng.choice([
        f"What is the {name} of {said}?", f"Find the {name} of {said}.", f"Give me the {name}: {said}",
        f"{name} of {said}?", f"{rng.choice(verbs.split('|')).capitalize()} {said}.", f"My numbers are {said}. What is the {name}?",
        f"Compute the {name} of these numbers: {said}", f"We measured {said}. Calculate the {name}.", f"The sales were {said}. What is the {name}?",
    ])  # fmt: skip
    module = expression.split(".")[0]
    imported = f"import {module}\n" if module in {"statistics", "math"} else ""
    return request, f"{imported}x = {items}\nprint({expression})", f"The {name} is {{r}}."


def _order(rng: Random) -> tuple[str, str, str]:
    numbers = rng.random() < 0.5
    items = (
        _list(rng)
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


def _text(rng: Random) -> tuple[str, str, str]:
    requests, code, answer = rng.choice(_TEXTS)
    text = values.word(rng) if rng.random() < 0.4 else values.phrase(rng, 5)
    letter, other = rng.choice(text.replace(" ", "")), rng.choice("abcdeimnorst")
    request = rng.choice(requests.split("|")).format(t=text, c=letter, d=other)
    return request, code.format(q=repr(text), c=letter, d=other), answer


def _dates(rng: Random) -> tuple[str, str, str]:
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


def _daily(rng: Random) -> tuple[str, str, str]:
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


def _numbers(rng: Random) -> tuple[str, str, str]:
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


def _table(rng: Random) -> tuple[str, str, str]:
    draw = rng.choice([values.person, values.city, values.word])
    rows = {
        str(draw(rng)): rng.choice([values.quantity, values.integer])(rng)
        for _ in range(rng.randint(2, 6))
    }
    column = rng.choice(["sales", "score", "age", "price", "visits", "stock"])
    joint = rng.choice([", ", "; ", "\n"])
    form = rng.choice(["{k} {v}", "{k}: {v}", "{k} = {v}", "{k},{v}"])
    table = joint.join(form.format(k=k, v=v) for k, v in rows.items())
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
            f"{said} {table}",
            f"{column.capitalize()}: {table}. {said}",
            f"Here are the {column}: {table}\n{said}",
        ]
    )
    del least
    return request, f"x = {rows}\n{code}", answer


_RECIPES: tuple[tuple[Callable[[Random], tuple[str, str, str]], int], ...] = (
    (_two, 3), (_expression, 2), (_power, 2), (_percent, 4), (_statistic, 4), (_order, 3),
    (_text, 4), (_dates, 4), (_daily, 3), (_numbers, 2), (_table, 3),
)  # fmt: skip


def python_task(rng: Random, tool: FunctionDeclaration) -> Task:
    """Draw a task for the declared Python tool."""
    recipes, weights = zip(*_RECIPES, strict=True)
    while True:
        request, code, answer = rng.choices(recipes, weights)[0](rng)
        try:
            result = run_code(code)
        except (ArithmeticError, ValueError):
            continue
        if result and len(result) < 120:  # one line of output
            break
    key = next(iter(tool.parameters["properties"]))  # type: ignore[arg-type]  # our own schema
    call = Call(tool, {str(key): code}, result)
    return Task("python", request, ((call,),), answer.replace("{r}", result), (result,))
