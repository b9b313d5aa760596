"""All toolsets, tasks and attacks, and which of them fit together.

Which places a task reads, and which attacks its obedient run would carry out there, is found by
running it without any gate, never written down by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from gate_suite.attacks_bank import BANK_ATTACKS
from gate_suite.attacks_chat import CHAT_ATTACKS
from gate_suite.attacks_mail import MAIL_ATTACKS
from gate_suite.attacks_repo import REPO_ATTACKS
from gate_suite.attacks_travel import TRAVEL_ATTACKS
from gate_suite.bank import BANK
from gate_suite.baselines import NoGate
from gate_suite.chat import CHAT
from gate_suite.mail import MAIL
from gate_suite.parts import Place
from gate_suite.phrasings import PHRASINGS
from gate_suite.repo import REPO
from gate_suite.run import Case, House, Stage, run_case
from gate_suite.tasks_bank import BANK_TASKS
from gate_suite.tasks_chat import CHAT_TASKS
from gate_suite.tasks_mail import MAIL_TASKS
from gate_suite.tasks_repo import REPO_TASKS
from gate_suite.tasks_travel import TRAVEL_TASKS
from gate_suite.travel import TRAVEL

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from gate_suite.parts import Attack, Task, Toolset
    from gate_suite.run import Seen
    from gate_suite.world import World

__all__ = [
    "ATTACKS",
    "TASKS",
    "TOOLSETS",
    "Run",
    "Suite",
    "one_each",
    "phrased",
    "places_read",
    "viable_cases",
]

TOOLSETS: tuple[Toolset, ...] = (MAIL, BANK, CHAT, TRAVEL, REPO)
TASKS: tuple[Task, ...] = (*MAIL_TASKS, *BANK_TASKS, *CHAT_TASKS, *TRAVEL_TASKS, *REPO_TASKS)
ATTACKS: tuple[Attack, ...] = (
    *MAIL_ATTACKS,
    *BANK_ATTACKS,
    *CHAT_ATTACKS,
    *TRAVEL_ATTACKS,
    *REPO_ATTACKS,
)

# Runs of a toolset that go side by side: they wait for the disk more than for the processor.
_STAGES = 3


@dataclass(frozen=True, slots=True)
class Run:
    """What to run: a case, who approves, and the gate (None: the product's)."""

    case: Case
    honest: bool = False
    gate: type[NoGate] | None = None


class Suite:
    """Stages for each toolset, drawn from ``seed``; ``names``: of which toolsets."""

    def __init__(self, seed: int, names: Collection[str] = ()) -> None:
        chosen = [toolset for toolset in TOOLSETS if not names or toolset.name in names]
        self._stages = {t.name: [Stage(t, seed) for _ in range(_STAGES)] for t in chosen}
        self.tasks = tuple(task for task in TASKS if task.toolset in self._stages)
        self.attacks = tuple(attack for attack in ATTACKS if attack.toolset in self._stages)
        self._runs = 0

    def places(self, task: Task) -> tuple[Place, ...]:
        """Return the places of the task's toolset."""
        return self._stages[task.toolset][0].toolset.places

    async def run(
        self, runs: Sequence[Run], house: House, advance: Callable[[int], None]
    ) -> list[Seen]:
        """Run all, a few side by side; return what they showed, in order."""
        seen: list[Seen | None] = [None] * len(runs)
        todo: dict[str, list[int]] = {name: [] for name in self._stages}
        for index in reversed(range(len(runs))):
            todo[runs[index].case.task.toolset].append(index)
        base, self._runs = self._runs, self._runs + len(runs)

        async def work(stage: Stage) -> None:
            waiting = todo[stage.toolset.name]
            while waiting:
                index = waiting.pop()
                run = runs[index]
                name = f"bench-{base + index}"
                seen[index] = await run_case(
                    run.case, stage, house, run_id=name, honest=run.honest, gate=run.gate
                )
                advance(1)

        async with anyio.create_task_group() as group:
            for stages in self._stages.values():
                for stage in stages:
                    group.start_soon(work, stage)
        return [one for one in seen if one is not None]


def _mark(place: Place) -> str:
    return f"[{place.name} was read]"


def _everywhere(places: Sequence[Place]) -> Place:
    """Return all places as one; each gets a mark of its own."""

    def inject(world: World, _text: str) -> None:
        for place in places:
            place.inject(world, f" {_mark(place)} ")

    return Place("everywhere", inject)


async def places_read(
    suite: Suite, house: House, advance: Callable[[int], None]
) -> list[tuple[Task, Place]]:
    """Return each task with each place that it reads."""
    cases = [Case(task, place=_everywhere(suite.places(task))) for task in suite.tasks]
    shown = await suite.run([Run(case, gate=NoGate) for case in cases], house, advance)
    return [
        (case.task, place)
        for case, seen in zip(cases, shown, strict=True)
        for place in suite.places(case.task)
        if _mark(place) in seen.read
    ]


async def viable_cases(
    suite: Suite, house: House, advance: Callable[[int], None]
) -> list[tuple[Task, Place, Attack]]:
    """Return each (task, place, attack) whose obedient run without a gate has the effect."""
    read = await places_read(suite, house, advance)
    found = [
        (task, place, attack)
        for task, place in read
        for attack in suite.attacks
        if attack.toolset == task.toolset
    ]
    runs = [Run(Case(task, attack, place), gate=NoGate) for task, place, attack in found]
    shown = await suite.run(runs, house, advance)
    return [one for one, seen in zip(found, shown, strict=True) if seen.effects]


def one_each(
    viable: Sequence[tuple[Task, Place, Attack]], tasks_per_place: int
) -> list[tuple[Task, Place, Attack]]:
    """Thin out: at most so many tasks for each attack at each place, rotated over the tasks."""
    groups: dict[tuple[str, str], list[tuple[Task, Place, Attack]]] = {}
    for task, place, attack in viable:
        groups.setdefault((attack.name, place.name), []).append((task, place, attack))
    kept = []
    for number, group in enumerate(groups.values()):
        turn = number % len(group)
        kept.extend((group[turn:] + group[:turn])[:tasks_per_place])
    return kept


def phrased(viable: Sequence[tuple[Task, Place, Attack]]) -> list[Case]:
    """Return each of these in every phrasing."""
    return [Case(t, a, p, phrasing) for t, p, a in viable for phrasing in PHRASINGS]
