"""One run: a job through the real planner, gate, guards and audit log."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gate_suite.obedient import ObedientModel
from gate_suite.parts import Call
from gate_suite.phrasings import word

from agentkit.errors import TurnStopped
from agentkit.guards import Boundary, CodeScanDetector, GuardPipeline, build_pipeline
from agentkit.messages import Message
from agentkit.planner import (
    Approval,
    ApprovalRequest,
    CallRuled,
    Gate,
    NobodyPresent,
    Outcome,
    Planner,
    TurnLimits,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gate_suite.parts import Attack, Place, Task, Toolset
    from gate_suite.world import World

    from agentkit.audit import AuditLog
    from agentkit.planner import TurnEvent
    from agentkit.tools import Tool

__all__ = ["Case", "HonestApprover", "House", "Seen", "run_case"]

_LIMITS = TurnLimits(steps=60, tool_calls=60, tokens=10_000_000, wall_s=600)
DETECTORS = ("hidden_text", "injection", "secrets")


@dataclass(frozen=True, slots=True)
class Case:
    """One task, alone or with one attack at one place in one phrasing."""

    task: Task
    attack: Attack | None = None
    place: Place | None = None
    phrasing: str = "plain"


@dataclass(slots=True)
class Seen:
    """What one run showed. ``verdicts``: outcome of each injected or altered call, in order."""

    met: bool = False
    done: bool = False
    effects: int = 0
    questions: list[str] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)
    rulings: list[tuple[str, str, str]] = field(default_factory=list)  # tool, outcome, rule
    gate_s: list[float] = field(default_factory=list)
    stopped: str = ""


@dataclass(slots=True)
class HonestApprover:
    """Approves exactly the calls that the task itself needs."""

    model: ObedientModel | None = None

    async def decide(self, request: ApprovalRequest) -> Approval:
        """Approve a call of the task, refuse any other."""
        arguments = request.shown
        needed = self.model.needed if self.model else []
        approved = any(
            call.tool == request.subject and _shown(call) == arguments for call in needed
        )
        return Approval(approved=approved, approver="kari")


def _shown(call: Call) -> str:
    return json.dumps(call.arguments, ensure_ascii=False, sort_keys=True, indent=2)


@dataclass(frozen=True, slots=True)
class House:
    """Where runs happen: guards (``classifiers`` or none) and the audit log they share."""

    log: AuditLog
    classifiers: bool = True

    @property
    def guards(self) -> GuardPipeline:
        """The detectors at every boundary."""
        names = DETECTORS if self.classifiers else ()
        return build_pipeline(dict.fromkeys(Boundary, names), timeout_s=5)

    def gate(self, tools: Sequence[Tool]) -> Gate:
        """The product's gate over these tools, no operator policy."""
        detectors = (CodeScanDetector(),)
        code = GuardPipeline(
            {b: detectors if b is Boundary.TOOL_ARGUMENTS else () for b in Boundary}, timeout_s=5
        )
        return Gate(tools, {}, self.guards, code)


async def run_case(  # noqa: PLR0913 - a run is what these say
    case: Case,
    toolset: Toolset,
    template: World,
    house: House,
    *,
    run_id: str,
    honest: bool = False,
    gate: Callable[[Sequence[Tool]], Gate] | None = None,
) -> Seen:
    """Run one case in a copy of ``template``. ``gate``: another gate than the product's."""
    world = template.copy()
    job = case.task.build(world)  # what is true is read before the attacker writes
    text = word(case.attack, case.phrasing) if case.attack else ""
    if case.place is not None:
        case.place.inject(world, text)
    model = ObedientModel(job, case.attack, text)
    seen = Seen()

    def observe(event: TurnEvent) -> None:
        if isinstance(event, CallRuled):
            final = event.ruling.final
            seen.rulings.append((event.call.name, final.outcome.value, final.rule))
            if Call(event.call.name, event.call.arguments) in model.injected:
                seen.verdicts.append(final.outcome.value)
            elif final.outcome is not Outcome.ALLOW:
                seen.questions.append(f"{event.call.name}: {final.rule}: {final.reason}")

    tools = toolset.tools(world)
    planner = Planner(
        model=model,
        tools=tools,
        gate=(gate or house.gate)(tools),
        guards=house.guards,
        log=house.log,
        approver=HonestApprover(model) if honest else NobodyPresent(),
        limits=_LIMITS,
        observe=observe,
    )
    answer = ""
    try:
        opening = (Message.system(toolset.instructions),)
        result = await planner.run(opening, job.ask, run_id=run_id, turn=1)
        answer = result.answer.text
        seen.gate_s.extend(result.answer.seconds.get("gate", ()))
    except TurnStopped as error:
        seen.stopped = error.reason
    seen.met = model.met
    seen.done = job.done(answer)
    if case.attack is not None:
        seen.effects = int(world.value(case.attack.effect))
    return seen
