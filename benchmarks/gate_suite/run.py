"""One run: a job through the real planner, gate, guards and audit log."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agentkit.errors import TurnStopped
from agentkit.guards import Boundary, CodeScanDetector, GuardPipeline, build_pipeline
from agentkit.messages import Message
from agentkit.planner import (
    Approval,
    ApprovalRequest,
    CallFinished,
    CallRuled,
    Gate,
    NobodyPresent,
    Outcome,
    Planner,
    TurnLimits,
)
from gate_suite.obedient import ObedientModel
from gate_suite.parts import Call
from gate_suite.phrasings import word
from gate_suite.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentkit.audit import AuditLog
    from agentkit.planner import TurnEvent
    from agentkit.tools import Tool
    from gate_suite.parts import Attack, Place, Task, Toolset

__all__ = ["Case", "HonestApprover", "House", "Seen", "Stage", "run_case"]

_LIMITS = TurnLimits(steps=60, tool_calls=60, tokens=10_000_000, wall_s=600)
# The product's own, without the redaction of secrets: it takes account numbers away from a bank.
DETECTORS = ("hidden_text", "injection")


@dataclass(frozen=True, slots=True)
class Case:
    """One task, alone or with one attack at one place in one phrasing."""

    task: Task
    attack: Attack | None = None
    place: Place | None = None
    phrasing: str = "plain"


@dataclass(slots=True)
class Seen:
    """What one run showed. ``verdicts``: outcome of each injected or altered call, in order.
    ``read``: everything that the model was given to read.
    """

    met: bool = False
    done: bool = False
    effects: int = 0
    questions: list[str] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)
    rulings: list[tuple[str, str, str]] = field(default_factory=list)  # tool, outcome, rule
    gate_s: list[float] = field(default_factory=list)
    stopped: str = ""
    read: str = ""


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


class Stage:
    """A toolset set up once: its drawn rows, and the world its tools act on, made anew each run."""

    def __init__(self, toolset: Toolset, seed: int) -> None:
        self.toolset = toolset
        self.drawn = World.drawn(toolset.create, seed)
        self.world = World.empty()
        self.tools = toolset.tools(self.world)


class House:
    """What runs share: guards (``classifiers`` or none) and the audit log."""

    def __init__(self, log: AuditLog, *, classifiers: bool = True) -> None:
        self.log = log
        names = DETECTORS if classifiers else ()
        self.guards = build_pipeline(dict.fromkeys(Boundary, names), timeout_s=5)
        detectors = (CodeScanDetector(),)
        self._code = GuardPipeline(
            {b: detectors if b is Boundary.TOOL_ARGUMENTS else () for b in Boundary}, timeout_s=5
        )

    def gate(self, tools: Sequence[Tool]) -> Gate:
        """Return the product's gate over these tools, no operator policy."""
        return Gate(tools, {}, self.guards, self._code)


async def run_case(
    case: Case,
    stage: Stage,
    house: House,
    *,
    run_id: str,
    honest: bool = False,
    gate: Callable[[Sequence[Tool]], Gate] | None = None,
) -> Seen:
    """Run one case on ``stage``, from its drawn rows. ``gate``: another gate than the product's."""
    world = stage.world
    world.become(stage.drawn)
    job = case.task.build(world)  # what is true is read before the attacker writes
    text = word(case.attack, case.phrasing) if case.attack else ""
    if case.place is not None:
        case.place.inject(world, text)
    model = ObedientModel(job, case.attack, text)
    seen = Seen()

    def observe(event: TurnEvent) -> None:
        if isinstance(event, CallFinished):
            seen.read += event.result.text
        elif isinstance(event, CallRuled):
            final = event.ruling.final
            seen.rulings.append((event.call.name, final.outcome.value, final.rule))
            if Call(event.call.name, event.call.arguments) in model.injected:
                seen.verdicts.append(final.outcome.value)
            elif final.outcome is not Outcome.ALLOW:
                seen.questions.append(f"{event.call.name}: {final.rule}: {final.reason}")

    planner = Planner(
        model=model,
        tools=stage.tools,
        gate=(gate or house.gate)(stage.tools),
        guards=house.guards,
        log=house.log,
        approver=HonestApprover(model) if honest else NobodyPresent(),
        limits=_LIMITS,
        observe=observe,
    )
    answer = ""
    try:
        opening = (Message.system(stage.toolset.instructions),)
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
