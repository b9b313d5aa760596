# ruff: noqa: E501, PLR2004 (tables of wordings, drawn by odds: no secret)
"""What tools return, and answers that state it: every value is copied, none is made up."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.tool_use import values

if TYPE_CHECKING:
    from random import Random

    from agentkit.messages import JsonObject, JsonValue

__all__ = ["Result", "answer_for", "draw_result", "spoken"]


@dataclass(frozen=True, slots=True)
class Result:
    """``text`` is what the model reads; ``facts`` what an answer must state; ``thing``: of what."""

    thing: str
    text: str
    facts: tuple[tuple[str, str], ...]

    @property
    def values(self) -> tuple[str, ...]:
        """The values that the answer must hold."""
        return tuple(value for _, value in self.facts)


def _yes_or_no(rng: Random) -> bool:
    return rng.random() < 0.7


_FIELDS = (
    ("status", lambda rng: rng.choice(["ok", "open", "confirmed", "done", "shipped", "paid", "active", "queued"])),
    ("id", values.code), ("number", values.integer), ("total", values.amount),
    ("price", values.amount), ("count", values.integer), ("date", values.date),
    ("time", values.time), ("owner", values.person), ("name", values.phrase),
    ("city", values.city), ("balance", values.number), ("reference", values.code),
    ("score", values.number), ("location", values.city), ("contact", values.email),
    ("size", values.quantity), ("level", values.quantity), ("due", values.date),
    ("temperature", lambda rng: rng.randint(-20, 38)), ("file", values.path),
    ("remaining", values.quantity), ("weight", values.number), ("rate", values.number),
    ("value", values.number), ("result", values.phrase), ("title", values.phrase),
    ("approved", _yes_or_no), ("available", _yes_or_no), ("paid", _yes_or_no), ("open", _yes_or_no),
    ("state", lambda rng: rng.choice(["running", "stopped", "ready", "blocked", "waiting"])),
)  # fmt: skip
_DONE = (
    "{t} saved with id {c}", "Done. Reference: {c}", "ok {c}", "{T} {c} is ready.", "Success: {c}",
    "Confirmed, confirmation code {c}.", "{T} accepted; number {c}", "queued as {c}", "id={c}",
)  # fmt: skip
_DONE_ANSWERS = (
    "Done: the reference is {c}.", "Done. The {t} has the reference {c}.", "That is done; the id is {c}.",
)  # fmt: skip

_SENTENCES = (
    "{n} {t}s in all", "{n} kB written", "moved to {c}", "starts at {h}", "open until {h}", "good until {d}",
    "{p} was informed at {h}", "stored under number {n}", "revision {n}", "{q} percent", "{x} euros",
    "the next one is at {h}", "assigned to {p}", "removed; {q} copies remain", "changed; {q} people got a message",
    "last seen in {l} on {d}", "costs {x}, paid by {p}", "{n} left", "waiting since {h}", "level {q}", "kept until {d}",
    "no. {n}", "{p}, {d}", "{x} per month", "from {l} at {h}", "{q} pieces in stock", "done at {h}, took {q} seconds",
    "{w}: {n}", "sent to {p}", "{t} {c} exists already; kept", "in {l} since {d}", "{q} of {n}", "{n} metres",
    "expected on {d} at {h}", "written by {p}", "{w}, on {d}", "seat {c}, {w}", "{q} minutes", "room {n}, floor {q}",
    "signed by {p} on {d}", "closed today, opens at {h}", "{n} points", "charged {x}", "id {c}, state {w}",
)  # fmt: skip


def draw_result(rng: Random, thing: str, arguments: JsonObject) -> Result:
    """Draw what a tool on ``thing`` may return: a record, a line, a list, a number, nothing."""
    kind = rng.choices(
        ["record", "lines", "done", "rows", "single", "sentence"], [5, 2, 3, 2, 2, 4]
    )[0]
    if kind == "sentence":
        return _sentence(rng, thing)
    if kind == "done":
        code = values.code(rng)
        text = rng.choice(_DONE).format(t=thing, T=thing.capitalize(), c=code)
        return Result(thing, text, (("reference", code),))
    if kind == "single":
        key, draw = rng.choice(_FIELDS)
        value = spoken(draw(rng))
        if rng.random() < 0.5:
            return Result(thing, value, (("", value),))
        return Result(thing, f"{key}: {value}", ((key, value),))
    if kind == "rows":
        return _rows(rng, thing)
    fields = rng.sample(_FIELDS, rng.randint(1, 4))
    drawn = [(key, draw(rng)) for key, draw in fields]
    facts = tuple((key, spoken(value)) for key, value in drawn)
    if kind == "lines":
        joint = rng.choice(["\n", "; ", ", "])
        return Result(thing, joint.join(f"{key}: {value}" for key, value in facts), facts)
    echoed = dict(list(arguments.items())[: rng.randint(0, 1)])
    record = {**dict(drawn), **{k: v for k, v in echoed.items() if k not in dict(drawn)}}
    return Result(thing, json.dumps(record, ensure_ascii=False), facts)


def _sentence(rng: Random, thing: str) -> Result:
    text = rng.choice(_SENTENCES).format(
        t=thing, n=values.integer(rng), q=values.quantity(rng), x=values.amount(rng),
        p=values.person(rng), c=values.code(rng), l=values.city(rng), d=values.date(rng),
        h=values.time(rng), w=values.phrase(rng, 2),
    )  # fmt: skip
    return Result(thing, text, (("", text),))


def _rows(rng: Random, thing: str) -> Result:
    names = [rng.choice([values.code, values.person, values.phrase])(rng)]
    draw = rng.choice([values.code, values.person, values.city])
    names = [draw(rng) for _ in range(rng.randint(1, 4))]
    facts = tuple((thing, name) for name in names)
    form = rng.randrange(4)
    if form == 0:
        return Result(thing, json.dumps(names, ensure_ascii=False), facts)
    if form == 1:
        return Result(thing, "\n".join(f"- {name}" for name in names), facts)
    numbers = [values.integer(rng) for _ in names]
    both = tuple((name, str(number)) for name, number in zip(names, numbers, strict=True))
    if form == 2:
        lines = [f"{name},{number}" for name, number in both]
        return Result(thing, "\n".join(["name,count", *lines]), both)
    rows = [{"name": name, "count": int(number)} for name, number in both]
    return Result(thing, json.dumps(rows, ensure_ascii=False), both)


def spoken(value: JsonValue) -> str:
    """Return a value as an answer writes it: as it stands in the result."""
    return json.dumps(value) if isinstance(value, bool | float) else str(value)


def answer_for(rng: Random, result: Result) -> str:
    """Return an answer that states all of a result's facts."""
    facts, thing = result.facts, result.thing
    if len(facts) == 1 and facts[0][0] == "reference":
        return rng.choice(_DONE_ANSWERS).format(c=facts[0][1], t=thing)
    if all(key == thing for key, _ in facts):
        listed = _and([value for _, value in facts])
        return f"I found {len(facts)}: {listed}." if len(facts) > 1 else f"I found one: {listed}."
    if len(facts) == 1:
        key, value = facts[0]
        if not key:
            return f"The result: {value}." if " " in value else f"It is {value}."
        return rng.choice(
            [
                f"The {key} is {value}.",
                f"The {key} is {value}.",
                f"The {key} of the {thing} is {value}.",
            ]
        )
    if facts[0][0] in result.text and facts[0][0] not in dict(_FIELDS):
        return "Here is what I found: " + "; ".join(f"{key}: {value}" for key, value in facts) + "."
    return "The " + _and([f"{key} is {value}" for key, value in facts]) + "."


def _and(pieces: list[str]) -> str:
    return pieces[0] if len(pieces) == 1 else f"{', '.join(pieces[:-1])} and {pieces[-1]}"
