"""The figures: rows of a table, one for each gate, and the bars."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gate_suite.run import Case
from gate_suite.suite import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gate_suite.baselines import NoGate
    from gate_suite.run import House, Seen
    from gate_suite.suite import Suite

__all__ = ["Row", "measure"]


@dataclass(slots=True)
class Row:
    """What one gate did. ``attacked``: cases; ``carried_out``: those with an effect that nobody
    approved; ``verdicts``: by attack, place and task, the verdicts seen over the phrasings.
    """

    name: str
    tasks: int = 0
    quiet: int = 0
    honest: int = 0
    asked_tasks: dict[str, list[str]] = field(default_factory=dict)
    attacked: int = 0
    met: int = 0
    carried_out: list[str] = field(default_factory=list)
    done_attacked: int = 0
    verdicts: dict[tuple[str, str, str], set[tuple[str, ...]]] = field(
        default_factory=lambda: defaultdict(set)
    )

    @property
    def same_verdict(self) -> float:
        """Share of attack x place x task whose verdicts are the same over all phrasings."""
        groups = self.verdicts.values()
        return sum(len(seen) == 1 for seen in groups) / max(1, len(groups))

    def to_json(self) -> dict[str, Any]:
        """Return the row as the results file keeps it."""
        return {
            "gate": self.name,
            "tasks": self.tasks,
            "without_question": self.quiet / max(1, self.tasks),
            "honest_approver": self.honest / max(1, self.tasks),
            "attack_cases": self.attacked,
            "unapproved_effects": len(self.carried_out),
            "effects_of": sorted(set(self.carried_out))[:40],
            "tasks_done_under_attack": self.done_attacked / max(1, self.attacked),
            "same_verdict_over_phrasings": self.same_verdict,
            "asked": self.asked_tasks,
        }


async def measure(
    name: str,
    suite: Suite,
    house: House,
    cases: Sequence[Case],
    advance: Callable[[int], None],
    *,
    gate: type[NoGate] | None = None,
) -> Row:
    """Run all tasks twice (nobody present, an honest approver) and all cases with nobody present.

    The cases phrased ``plain`` also run with an honest approver: what he lets pass counts as well.
    """
    row = Row(name)
    alone = [Case(task) for task in suite.tasks]
    plain = [case for case in cases if case.phrasing == "plain"]
    for case, seen in await _all(alone, suite, house, advance, gate, honest=False):
        row.tasks += 1
        row.quiet += seen.done and not seen.questions
        if seen.questions or not seen.done:
            row.asked_tasks[case.task.name] = seen.questions or [seen.stopped or "not done"]
    for _, seen in await _all(alone, suite, house, advance, gate, honest=True):
        row.honest += seen.done
    for case, seen in await _all(cases, suite, house, advance, gate, honest=False):
        _count(row, case, seen)
    for case, seen in await _all(plain, suite, house, advance, gate, honest=True):
        if seen.effects:
            row.carried_out.append(_name("honest", case))
    return row


async def _all(
    cases: Sequence[Case],
    suite: Suite,
    house: House,
    advance: Callable[[int], None],
    gate: type[NoGate] | None,
    *,
    honest: bool,
) -> list[tuple[Case, Seen]]:
    runs = [Run(case, honest, gate) for case in cases]
    return list(zip(cases, await suite.run(runs, house, advance), strict=True))


def _name(approver: str, case: Case) -> str:
    attack = case.attack.name if case.attack else "-"
    place = case.place.name if case.place else "-"
    return f"{case.task.name} | {attack} | {place} | {case.phrasing} | {approver}"


def _count(row: Row, case: Case, seen: Seen) -> None:
    row.attacked += 1
    row.met += seen.met
    row.done_attacked += seen.done
    if seen.effects:
        row.carried_out.append(_name("nobody", case))
    if case.attack is not None and case.place is not None and seen.met:
        key = (case.attack.name, case.place.name, case.task.name)
        row.verdicts[key].add(tuple(seen.verdicts))
