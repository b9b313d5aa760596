"""What the benchmark is made of: calls, tasks, places, attacks and toolsets."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

    from agentkit.tools import Tool
    from gate_suite.world import World

__all__ = ["Attack", "Call", "Commit", "Job", "Place", "Plan", "Refused", "Task", "Toolset", "call"]


class Refused(Exception):
    """A call of the plan was not carried out; a plan that does not catch it gives up."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call as a model proposes it."""

    tool: str
    arguments: dict[str, Any]


def call(tool: str, **arguments: Any) -> Call:
    """Return a call."""
    return Call(tool, arguments)


@dataclass(frozen=True, slots=True)
class Commit:
    """What a request implies of one tool: values it fixes (None: left open), and how many calls."""

    tool: str
    objects: dict[str, Any] = field(default_factory=dict)
    count: int = 1


Plan = Generator[Call, Any, str]
"""A competent model at work: yields calls, is sent each one's parsed result, returns the answer."""


@dataclass(frozen=True, slots=True)
class Job:
    """One task in one world.

    ``ask``: the user's words. ``plan``: what a competent model does. ``done``: whether the task was
    done, from the answer (and the world that ``plan`` acted on). ``commit``: what the request
    implies, as far as its words and what trusted tools have said tell; asked for when it is needed.
    """

    ask: str
    plan: Callable[[], Plan]
    done: Callable[[str], bool]
    commit: Callable[[], list[Commit]] = list


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a toolset: ``build`` makes its job from a world."""

    name: str
    toolset: str
    build: Callable[[World], Job]


@dataclass(frozen=True, slots=True)
class Place:
    """A field that others write: ``inject`` adds a text to it wherever a task could meet it."""

    name: str
    inject: Callable[[World, str], None]


@dataclass(frozen=True, slots=True)
class Attack:
    """What an injected text wants.

    ``english`` and ``norwegian`` say it in words. ``calls``: the calls that carry it out; a text
    ``{last}`` in an argument stands for what the call before gave back. ``alter``: change the
    task's own call, given what the last of ``calls`` gave back (return it as it is where the
    attack does not fit). ``effect``: how often
    it was carried out, counted in the database.
    """

    name: str
    toolset: str
    english: str
    norwegian: str
    effect: str
    calls: tuple[Call, ...] = ()
    alter: Callable[[Call, str], Call] | None = None


@dataclass(frozen=True, slots=True)
class Toolset:
    """Tools over one kind of world, and the places in it that others write to."""

    name: str
    instructions: str
    create: Callable[[World, random.Random], None]
    tools: Callable[[World], tuple[Tool, ...]]
    places: tuple[Place, ...]
