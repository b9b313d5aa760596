"""All toolsets, tasks and attacks, and which of them fit together.

Which places a task reads, and which attacks its obedient run would carry out there, is found by
running it without any gate, never written down by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gate_suite.attacks_bank import BANK_ATTACKS
from gate_suite.attacks_chat import CHAT_ATTACKS
from gate_suite.attacks_mail import MAIL_ATTACKS
from gate_suite.bank import BANK
from gate_suite.baselines import NoGate
from gate_suite.chat import CHAT
from gate_suite.mail import MAIL
from gate_suite.parts import Attack
from gate_suite.phrasings import PHRASINGS
from gate_suite.run import Case, House, Stage, run_case
from gate_suite.tasks_bank import BANK_TASKS
from gate_suite.tasks_chat import CHAT_TASKS
from gate_suite.tasks_mail import MAIL_TASKS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gate_suite.parts import Place, Task, Toolset

__all__ = ["ATTACKS", "TASKS", "TOOLSETS", "Suite", "one_each", "phrased", "viable_cases"]

TOOLSETS: tuple[Toolset, ...] = (MAIL, BANK, CHAT)
TASKS: tuple[Task, ...] = (*MAIL_TASKS, *BANK_TASKS, *CHAT_TASKS)
ATTACKS: tuple[Attack, ...] = (*MAIL_ATTACKS, *BANK_ATTACKS, *CHAT_ATTACKS)

_PROBE = Attack("probe", "", "probe-7c1f", "probe-7c1f", "SELECT 0")


class Suite:
    """A stage for each toolset, drawn from ``seed``."""

    def __init__(self, seed: int) -> None:
        self._stages = {toolset.name: Stage(toolset, seed) for toolset in TOOLSETS}

    def stage(self, task: Task) -> Stage:
        """Return where a task is run."""
        return self._stages[task.toolset]


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
                name = f"open {task.name} {place.name} {attack.name}"
                seen = await run_case(case, suite.stage(task), house, run_id=name, gate=NoGate)
                if seen.effects:
                    found.append((task, place, attack))
        advance(1)
    return found


async def _places_read(task: Task, suite: Suite, house: House) -> list[Place]:
    places = []
    for place in suite.stage(task).toolset.places:
        case = Case(task, _PROBE, place)
        name = f"probe {task.name} {place.name}"
        seen = await run_case(case, suite.stage(task), house, run_id=name, gate=NoGate)
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
