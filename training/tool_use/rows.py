# ruff: noqa: PLR2004 (drawn by odds: no secret)
"""Reads the tables of everyday tools; draws a tool and requests for it from one of their rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.tool_use import rows_home, rows_work, values
from training.tool_use.results import spoken
from training.tool_use.task import Call, Task, declare, join_name, parameter

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from agentkit.messages import JsonObject, JsonValue

__all__ = ["row_tasks"]

_KINDS: dict[str, Callable[[Random], JsonValue]] = {
    "amount": values.amount,
    "city": values.city,
    "code": values.code,
    "company": values.company,
    "date": values.date,
    "email": values.email,
    "hex": lambda rng: f"{rng.getrandbits(32):08x}",
    "host": lambda rng: f"{values.word(rng)}.{values.word(rng)}.{rng.choice(['com', 'no', 'org'])}",
    "integer": values.integer,
    "ip": lambda rng: ".".join(str(rng.randrange(1, 255)) for _ in range(4)),
    "month": lambda rng: f"{rng.randrange(2015, 2030)}-{rng.randrange(1, 13):02d}",
    "number": values.number,
    "path": values.path,
    "person": values.person,
    "phrase": values.phrase,
    "position": lambda rng: f"{rng.uniform(-80, 80):.3f}, {rng.uniform(-179, 179):.3f}",
    "quantity": values.quantity,
    "room": values.room,
    "score": lambda rng: f"{rng.randrange(8)}-{rng.randrange(8)}",
    "sentence": values.sentence,
    "street": lambda rng: (
        f"{values.word(rng).capitalize()} {rng.choice(['Street', 'Road', 'Lane'])}"
        f" {rng.randrange(1, 200)}"
    ),
    "time": values.time,
    "true": lambda _: True,
    "url": lambda rng: f"https://{values.word(rng)}.com/{values.word(rng)}",
    "version": lambda rng: f"v{rng.randrange(1, 9)}.{rng.randrange(20)}.{rng.randrange(20)}",
    "word": values.word,
    "year": lambda rng: rng.randrange(1980, 2030),
}
_BEFORE = ("Hi! ", "Please help me. ", "Hello, ", "Could you do this: ", "One more thing: ")
_AFTER = (" Thanks!", " Please.", " Thank you.", " Now.", " Quickly!")


@dataclass(frozen=True, slots=True)
class Slot:
    """One parameter: ``keys`` it may have, its JSON ``kind``, the ``source`` of its values."""

    keys: tuple[str, ...]
    kind: str
    source: str

    @property
    def choices(self) -> list[str]:
        """The values there are, where they are listed."""
        return self.source.split("|") if "|" in self.source else []

    def draw(self, rng: Random) -> JsonValue:
        """Return a value, or a list of some for an array."""
        if self.choices:
            return rng.choice(self.choices)
        if self.kind != "array":
            drawn = _KINDS[self.source](rng)
            return str(drawn) if self.kind == "string" else drawn
        return [_KINDS[self.source](rng) for _ in range(rng.randint(2, 4))]


@dataclass(frozen=True, slots=True)
class Row:
    """One tool of a table."""

    names: tuple[str, ...]
    descriptions: tuple[str, ...]
    slots: tuple[Slot, ...]
    requests: tuple[str, ...]
    results: tuple[str, ...]
    found: Slot
    answers: tuple[str, ...]


def _read(line: str) -> Row:
    head, slots, requests, results, found, answers = line.split(" # ")
    names, *descriptions = head.split(" | ")
    source = found.removeprefix("choice:")
    return Row(
        tuple(names.split()),
        tuple(descriptions),
        tuple(_slot(text) for text in slots.split("; ")),
        tuple(requests.split(" / ")),
        tuple(results.split(" / ")),
        Slot((), "any", source),
        tuple(answers.split(" / ")),
    )


def _slot(text: str) -> Slot:
    keys, _, rule = text.partition("=")
    kind, _, source = rule.partition(":")
    return Slot(tuple(keys.split()), kind, source)


_ROWS = tuple(_read(line) for table in (rows_home, rows_work) for line in table.ROWS.splitlines())


def row_tasks(rng: Random, count: int) -> list[Task]:
    """Draw a row, a schema of it, and ``count`` requests."""
    row = rng.choice(_ROWS)
    style = rng.choices([0, 1, 3], [8, 2, 1])[0]
    keys: list[str] = []
    for slot in row.slots:
        keys.append(rng.choice([key for key in slot.keys if key not in keys]))
    described = rng.random() < 0.6
    schemas = {
        key: parameter(
            "strings" if slot.kind == "array" else slot.kind,
            rng.choice(slot.keys).replace("_", " ") if described and rng.random() < 0.7 else "",
            slot.choices if rng.random() < 0.8 else [],
        )
        for key, slot in zip(keys, row.slots, strict=True)
    }
    order = list(range(len(keys)))
    if rng.random() < 0.4:
        rng.shuffle(order)
    tool = declare(
        join_name(rng.choice(row.names).split("_"), style),
        rng.choice(row.descriptions),
        {keys[n]: schemas[keys[n]] for n in order},
        frozenset(),
    )
    tasks = []
    for _ in range(count):
        drawn = [slot.draw(rng) for slot in row.slots]
        arguments: JsonObject = {keys[n]: drawn[n] for n in order}
        said = [_said(rng, value) for value in drawn]
        found = row.found.draw(rng)
        text = rng.choice(row.results)
        text = text.replace("{r}", spoken(found))
        text = text.replace("{q}", json.dumps(found, ensure_ascii=False))
        answer = rng.choice(row.answers).format(*said, r=spoken(found))
        request = _request(rng, rng.choice(row.requests).format(*said))
        call = Call(tool, arguments, text)
        tasks.append(Task(row.names[0], request, ((call,),), answer, (spoken(found),)))
    return tasks


def _said(rng: Random, value: JsonValue) -> str:
    if not isinstance(value, list):
        return spoken(value)
    words = [str(item) for item in value]
    if rng.random() < 0.5:
        return f"{', '.join(words[:-1])} and {words[-1]}"
    return ", ".join(words)


def _request(rng: Random, text: str) -> str:
    """Vary how a request begins and ends."""
    roll = rng.random()
    if roll < 0.06:
        return rng.choice(_BEFORE) + text
    if roll < 0.12:
        return text + rng.choice(_AFTER)
    if roll < 0.18:
        return text.rstrip(".?!")
    return text
