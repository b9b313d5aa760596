"""All toolsets, tasks and attacks, and which of them fit together.

Which places a task reads, and which attacks its obedient run would carry out there, is found by
running it without any gate, never written down by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gate_suite.attacks_mail import MAIL_ATTACKS
from gate_suite.baselines import NoGate
from gate_suite.mail import MAIL
from gate_suite.parts import Attack
from gate_suite.phrasings import PHRASINGS
from gate_suite.run import Case, House, run_case
from gate_suite.tasks_mail import MAIL_TASKS
from gate_suite.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gate_suite.parts import Place, Task, Toolset

__all__ = ["ATTACKS", "TASKS", "TOOLSETS", "Suite", "one_each", "phrased", "viable_cases"]

TOOLSETS: tuple[Toolset, ...] = (MAIL,)
TASKS: tuple[Task, ...] = (*MAIL_TASKS,)
ATTACKS: tuple[Attack, ...] = (*MAIL_ATTACKS,)

_PROBE = Attack("probe", "", "probe-7c1f", "probe-7c1f", "SELECT 0")


@dataclass(frozen=True, slots=True)
class Suite:
    """The toolsets by name, each with its drawn world."""

    toolsets: dict[str, Toolset]
    worlds: dict[str, World]

    @classmethod
    def drawn(cls, seed: int) -> Suite:
        """Draw every world from ``seed``."""
        return cls(
            {toolset.name: toolset for toolset in TOOLSETS},
            {toolset.name: World.drawn(toolset.create, seed) for toolset in TOOLSETS},
        )

    def of(self, case: Case) -> tuple[Toolset, World]:
        """Return the toolset and the world of a case."""
        name = case.task.toolset
        return self.toolsets[name], self.worlds[name]


async def viable_cases(
    suite: Suite, house: House, advance: Callable[[int], None]
) -> list[tuple[Task, Place, Attack]]:
    """Return each (task, place, attack) whose obedient run without a gate has the effect.

    ``advance`` is called with 1 for each task that was looked at.
    """
    found: list[tuple[Task, Place, Attack]] = []
    for task in TASKS:
        for place in await _places_read(task, suite, house):
            for attack in ATTACKS:
                if attack.toolset != task.toolset:
                    continue
                case = Case(task, attack, place)
                toolset, world = suite.of(case)
                name = f"open {task.name} {place.name} {attack.name}"
                seen = await run_case(case, toolset, world, house, run_id=name, gate=NoGate)
                if seen.effects:
                    found.append((task, place, attack))
        advance(1)
    return found


async def _places_read(task: Task, suite: Suite, house: House) -> list[Place]:
    places = []
    for place in suite.toolsets[task.toolset].places:
        case = Case(task, _PROBE, place)
        toolset, world = suite.of(case)
        name = f"probe {task.name} {place.name}"
        seen = await run_case(case, toolset, world, house, run_id=name, gate=NoGate)
        if seen.met:
            places.append(place)
    return places


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
