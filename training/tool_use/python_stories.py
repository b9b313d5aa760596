# ruff: noqa: E501, PLR2004 (tables of wordings, drawn by odds: no secret)
"""Word problems for the ``python`` tool: which number stands where is to be read, not guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from training.tool_use import values
from training.tool_use.python_values import listed, some_numbers

if TYPE_CHECKING:
    from random import Random

    from training.tool_use.python_values import Recipe

__all__ = ["backwards", "sales_list", "story"]

# requests | code | answer. a to d are whole numbers, p is a percentage, x and y are things,
# w is a name, m is money.
_STORIES: Final = """
{a} {x}s at {b} {m} and {c} {y}s at {d} {m}: what is the sum? / I take {a} {x}s for {b} {m} each and {c} {y}s for {d} {m} each. What do I owe? / What does {w} pay for {a} {x}s ({b} {m} apiece) and {c} {y}s ({d} {m} apiece)? / {w} sells {a} {x}s at {b} and {c} {y}s at {d}. What comes in? / An order holds {a} {x}s of {b} {m} as well as {c} {y}s of {d} {m}. Its value? / The price of a {x} is {b} and of a {y} {d}. Price for {a} {x}s with {c} {y}s? | print({a} * {b} + {c} * {d}) | The total is {r}.
{w} sells {a} {x}s at {b} {m}. How much money is that? / A shelf holds {a} {x}s; how many do {b} shelves hold? / Each of {a} {x}s weighs {b} grams. What do they weigh together? / {a} rows of {b} {x}s: how many {x}s? / What is {a} multiplied with {b}? / Product of {a} and {b}? / Multiply {a} and {b}. / {a} by {b}, please. / Every one of the {a} {x}s costs {b} {m}. Price of all? | print({a} * {b}) | The result is {r}.
We earned {a} and spent {b}. What is left? / Income {a}, costs {b}: what is the profit? / {w} had {a} {x}s and gave {b} away. How many remain? / Of {a} {x}s {b} were sold. How many are still there? / The budget is {a} and {b} is used. How much remains? / Revenue {a}, cost {b}. Profit? / Takings of {a}, payments of {b}; what did {w} gain? / The account held {a}; {b} was drawn. New balance? / {b} of {a} {x}s broke. How many are whole? | print({a} - {b}) | The difference is {r}.
In one year {w} paid {b}, in the next {a}. By how much did it grow? / It was {b} before and is {a} now. What is the difference? / The number of {x}s went up from {b} to {a}. How many more is that? | print({a} - {b}) | The difference is {r}.
{c} friends divide {a} {m} among themselves. What does each get? / {w} deals {a} {x}s out to {c} players. How many has each? / A sum of {a} is paid by {c} of us in equal parts. What is one part? / {a} {m} for {c} people: how much per person? / The {c} heirs of {w} receive {a} together and the same each. How much? / {c} flatmates owe {a} {m} of rent together. One's part? / If {c} neighbours carry a cost of {a} equally, what does one of them carry? / {c} teams split {a} points in equal parts. Points per team? | print({a} / {c}) | Each gets {r}.
{w} packs {a} {x}s in crates of {c}. How many {x}s do not fill a crate? / {a} {x}s go into bags of {c}. How many stay outside? / With {a} {x}s and {c} in each tray, how many {x}s remain at the end? / {a} pupils form groups of {c}. How many pupils have no group? / {a} {x}s are stacked in piles of {c}; the last pile is short. How many are in it? / Cut {a} cm of rope into pieces of {c} cm. How many cm are the rest? / When {a} {x}s are put in cartons holding {c} each, how many do not fit? / {a} cards are dealt to {c} players alike. How many cards are over? | print({a} % {c}) | The remainder is {r}.
{w} packs {a} {x}s in crates of {c}. How many crates are full? / How many bags of {c} can be filled with {a} {x}s? / {a} pupils form groups of {c}. How many groups are complete? | print({a} // {c}) | There are {r}.
How many crates of {c} are needed for {a} {x}s? / A bus takes {c} people; how many buses for {a}? / {a} pages at {c} a day: how many days? | import math\\nprint(math.ceil({a} / {c})) | {r} are needed.
A {x} costs {a} {m} and is reduced by {p}%. What is its price now? / The {x} was {a} {m}; there is {p} percent off. What must {w} pay? / {a} {m}, less {p}%: what remains to pay? / With a rebate of {p} percent, what is the price of a {x} of {a} {m}? / In the sale a {x} of {a} is {p}% down. Its price? / The list price is {a} and {w} gets {p}% discount. What is the bill? / What do I pay for a {x} at {a} {m} when it is {p}% lower in price? / {p} percent are taken off a {x} that costs {a}. New price? | print({a} * (1 - {p} / 100)) | The price is {r}.
A {x} costs {a} {m} without tax; the tax is {p}%. What is the price with it? / The rent is {a} and rises by {p} percent. What is it then? / {a} {m} grow by {p}%. How much is it afterwards? / A tip of {p}% on a bill of {a}: what is paid in all? / {w} earns {a} and gets {p}% more. The new pay? | print({a} * (1 + {p} / 100)) | The new value is {r}.
{p}% of the {a} {x}s are broken. How many is that? / Of {a} members {p} percent voted. How many voted? / A fee of {p}% is due on {a}. How large is it? / {w} saves {p} percent of {a} {m}. How much is saved? / How much tax is {p}% on {a} {m}? / From {a} {m}, what is {p} percent? / {a} guests are invited and {p}% come. How many come? / {p}% commission on a sale of {a}: what is it? | print({a} * {p} / 100) | That is {r}.
Members grew from {b} to {a}. How many percent is that? / The price of a {x} went up from {b} to {a}. By what percentage? / Last year {b}, this year {a}: growth in percent? / {w} sold {b} {x}s in May and {a} in June. What is the rise in percent? / From {b} {x}s to {a} {x}s, how big is the increase in percent? | print(({a} - {b}) / {b} * 100) | The increase is {r} percent.
{a} {m} are put in a bank for {e} years at {p}%. How much is there then? / {w} invests {a} at {p} percent a year. What is it after {e} years? / A loan of {a} grows by {p}% every year. What is owed after {e} years? / With {p}% a year, what do {a} {m} become in {e} years? / Value of {a} in {e} years, growing {p} percent yearly? / {e} years of interest at {p}%, starting from {a}. What is the end value? | print({a} * (1 + {p} / 100) ** {e}) | It is {r}.
{w} works {c} hours at {b} {m} an hour. What is the pay? / {b} km an hour for {c} hours: how far? / A tap gives {b} litres a minute. How many in {c} minutes? | print({b} * {c}) | The result is {r}.
{w} drives {a} km in {c} hours. What is the average speed? / {a} {x}s in {c} days: how many a day? / {c} {x}s cost {a} {m}. What does one cost? | print({a} / {c}) | The result is {r}.
{w} pays {a} {m} for {c} {x}s at {e} {m} each. How much comes back? / I have {a} {m} and buy {c} {x}s for {e} {m} each. What is left of it? | print({a} - {c} * {e}) | {r} is left.
A square has an area of {s}. How long is a side? / What number times itself gives {s}? / The root of {s}? / Take the square root of {s}. / Find the root of {s}, please. | import math\\nprint(math.sqrt({s})) | The square root is {r}.
A room is {c} m long and {e} m wide. What is its area? / A field of {c} by {e} metres: how large? | print({c} * {e}) | The area is {r}.
""".strip()
_LINES: Final = tuple(line.replace("\\n", "\n").split(" | ") for line in _STORIES.splitlines())
_MONEY = ("dollars", "euros", "pounds", "crowns", "francs", "EUR", "USD", "NOK", "kr", "yen", "pesos")  # fmt: skip
_TOTALS = (
    "Add up these receipts: {x}", "What do the bills {x} come to?", "Expenses: {x}. How much in all?",
    "Payments of {x} were made. What is the sum?", "{x}: add them.", "Together, how much are {x}?",
    "We received {x}. Total?", "Sum of the amounts {x}?", "Can you add {x}?", "These orders came in: {x}. Total them.",
    "Total of {x}, please.", "I have to pay {x}; altogether?",
)  # fmt: skip
_MEANS = (
    "On {n} days we had {x} visitors. How many is that on average?", "Scores were {x}; the average?", "Mean of the readings {x}?",
    "The weights are {x}. What does one weigh on average?", "Per week we sold {x}. Average a week?", "{x}: what is the mean?",
)  # fmt: skip
_PICKS = (
    ("Which is the biggest of {x}?", "max(x)", "largest"), ("The measurements were {x}. The top one?", "max(x)", "largest"),
    ("Temperatures: {x}. What was the maximum?", "max(x)", "largest"), ("Best of these results: {x}?", "max(x)", "largest"),
    ("Which is the least of {x}?", "min(x)", "smallest"), ("Temperatures: {x}. What was the minimum?", "min(x)", "smallest"),
    ("What is the middle value of {x}?", "statistics.median(x)", "median"), ("Median of the prices {x}?", "statistics.median(x)", "median"),
    ("The ages are {x}. The median?", "statistics.median(x)", "median"),
)  # fmt: skip
_REVERSE = (
    "Spell {t} from the end.", "What is '{t}' read from right to left?", "Turn the word {t} around.", "Give me '{t}' with its letters reversed.",
    "Write {t} the other way round.", "'{t}' backwards, please.", "Reverse the letters of {t}.", 'Say "{t}" from its last letter to its first.',
    "Mirror the word '{t}'.", "How is {t} written backwards?",
)  # fmt: skip
_COUNTS = (
    "How many times is {c} in {t}?", "How often do you find the letter {c} in '{t}'?", 'Number of {c} in "{t}"?',
    "The word {t}: how many {c}?", "In '{t}', count {c}.", "Tell me the count of {c} in the word '{t}'.",
)  # fmt: skip


def story(rng: Random) -> Recipe:
    """Draw a word problem."""
    requests, code, answer = rng.choice(_LINES)
    big = rng.choice([300, 3000, 30_000, 100_000])
    b = rng.randint(2, 999)
    held = {
        "a": rng.randint(b + 1, b + big), "b": b, "c": rng.randint(2, 60), "d": rng.randint(2, 999),
        "e": rng.randint(2, 15), "s": rng.choice([rng.randint(4, 120) ** 2, rng.randint(10, 9999)]),
        "p": rng.choice([rng.randint(1, 75), rng.randint(1, 75), round(rng.uniform(1, 30), 1)]),
        "x": _thing(rng), "y": _thing(rng), "w": values.person(rng), "m": rng.choice(_MONEY),
    }  # fmt: skip
    request = rng.choice(requests.split(" / ")).format(**held)
    return request, code.format(**held), answer


def sales_list(rng: Random) -> Recipe:
    """Draw a list of figures to add up, to average or to pick from."""
    items = some_numbers(rng)
    said = listed(rng, items)
    kind = rng.random()
    if kind < 0.45:
        return rng.choice(_TOTALS).format(x=said), f"print(sum({items}))", "The total is {r}."
    if kind < 0.7:
        request = rng.choice(_MEANS).format(x=said, n=len(items))
        return request, f"x = {items}\nprint(sum(x) / len(x))", "The average is {r}."
    request, expression, name = rng.choice(_PICKS)
    imported = "import statistics\n" if "statistics" in expression else ""
    code = f"{imported}x = {items}\nprint({expression})"
    return request.format(x=said), code, f"The {name} is {{r}}."


def backwards(rng: Random) -> Recipe:
    """Draw the letters of one word: turned around or counted."""
    text = values.rare(rng) if rng.random() < 0.7 else values.phrase(rng, 1)
    if rng.random() < 0.6:
        return rng.choice(_REVERSE).format(t=text), f"print({text!r}[::-1])", "Reversed: {r}"
    letter = rng.choice(text.replace(" ", ""))
    request = rng.choice(_COUNTS).format(t=text, c=letter)
    return request, f"print({text!r}.count({letter!r}))", "It appears {r} times."


def _thing(rng: Random) -> str:
    return values.word(rng) if rng.random() < 0.3 else values.phrase(rng, 1)
