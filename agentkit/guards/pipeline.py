"""One pipeline for every boundary: all detectors of a boundary look, the most restrictive wins.

What is covered
    A detector that raises, does not answer in time, answers something that is not a well-formed
    ``Verdict``, or claims spans that do not exist, counts as ``block``, and the verdict names it.
    A boundary that nobody configured cannot be built. A blocked text is not handed on.

What is not covered
    Whether the detectors are good: text classifiers are signals, the deterministic gate over tool
    calls is the control. A detector that blocks the event loop itself cannot be interrupted; ours
    scan long texts in threads (``detector.run_scan``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING

import anyio

from agentkit.errors import GuardError
from agentkit.guards.detector import GuardContext
from agentkit.guards.redaction import redact, spans_fit
from agentkit.guards.verdict import Action, Boundary, Verdict, most_restrictive

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentkit.guards.detector import Detector

__all__ = ["FAILED", "UNGUARDED", "CanaryResult", "GuardPipeline", "Judgement"]

FAILED = "guard.failed"
"""Category of the blocking verdict that stands for a detector's failure."""

UNGUARDED = "guard.none_configured"
"""Category of the allowing verdict where the user configured no detector."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What all detectors of a boundary said of one text.

    ``action``: the most restrictive. ``text``: what to go on with, every redaction applied; empty
    where ``action`` is ``block``. ``verdicts``: one for each detector, in configured order.
    """

    action: Action
    text: str
    verdicts: tuple[Verdict, ...]

    @property
    def decisive(self) -> Verdict:
        """The verdict that decided; the first of several."""
        return most_restrictive(self.verdicts)

    @property
    def categories(self) -> tuple[str, ...]:
        """Everything that was found, once each, in order."""
        return tuple(dict.fromkeys(c for verdict in self.verdicts for c in verdict.categories))

    @property
    def allows(self) -> bool:
        """Whether the content may go on without asking anybody (possibly redacted)."""
        return self.action in (Action.ALLOW, Action.REDACT)


@dataclass(frozen=True, slots=True)
class CanaryResult:
    """Whether one detector recognised its canary at one boundary.

    A detector that failed has not recognised anything: its block does not count.
    """

    boundary: Boundary
    detector: str
    passed: bool
    verdict: Verdict


class GuardPipeline:
    """Detectors by boundary. ``timeout_s``: what each detector may take for one text."""

    def __init__(
        self, detectors: Mapping[Boundary, Sequence[Detector]], *, timeout_s: float
    ) -> None:
        if not (math.isfinite(timeout_s) and timeout_s > 0):
            raise GuardError(
                f"the guards' timeout must be a positive number of seconds, not {timeout_s}",
                cure="set guards.timeout_s, for example 5",
            )
        missing = [boundary.value for boundary in Boundary if boundary not in detectors]
        if missing:
            raise GuardError(
                f"no detectors are configured for {', '.join(missing)}",
                cure="list detectors for every boundary; [] says that nothing is to be checked",
            )
        for boundary in Boundary:
            names = [detector.name for detector in detectors[boundary]]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise GuardError(
                    f"{boundary}: {', '.join(twice)} is listed twice", cure="list it once"
                )
        self._detectors = {boundary: tuple(detectors[boundary]) for boundary in Boundary}
        self._timeout_s = timeout_s

    @property
    def names(self) -> dict[Boundary, tuple[str, ...]]:
        """The names of the detectors that run at each boundary."""
        return {
            boundary: tuple(detector.name for detector in detectors)
            for boundary, detectors in self._detectors.items()
        }

    async def judge(self, text: str, context: GuardContext) -> Judgement:
        """Let every detector of the boundary judge ``text``, at the same time."""
        detectors = self._detectors[context.boundary]
        if not detectors:
            return Judgement(Action.ALLOW, text, (_ungoverned(context.boundary),))
        verdicts: list[Verdict | None] = [None] * len(detectors)

        async def run(place: int, detector: Detector) -> None:
            verdicts[place] = await self._ask(detector, text, context)

        async with anyio.create_task_group() as tasks:
            for place, detector in enumerate(detectors):
                tasks.start_soon(run, place, detector)
        return _judgement(text, tuple(verdict for verdict in verdicts if verdict is not None))

    async def check_canaries(self) -> tuple[CanaryResult, ...]:
        """Feed each detector its canary at each boundary it guards; run this before any turn."""
        results: list[CanaryResult] = []
        for boundary, detectors in self._detectors.items():
            context = GuardContext.of(boundary)
            for detector in detectors:
                verdict = await self._ask(detector, detector.canary, context)
                passed = verdict.action is not Action.ALLOW and FAILED not in verdict.categories
                results.append(CanaryResult(boundary, detector.name, passed, verdict))
        return tuple(results)

    async def _ask(self, detector: Detector, text: str, context: GuardContext) -> Verdict:
        start = perf_counter()
        answer: object = None
        problem = ""
        with anyio.move_on_after(self._timeout_s) as scope:
            try:
                answer = await detector.judge(text, context)
                problem = _nonsense(answer, text)
            except Exception as error:  # noqa: BLE001 - whatever a detector raises denies
                problem = f"it raised {type(error).__name__}"
        elapsed_s = perf_counter() - start
        if scope.cancelled_caught:
            problem = f"it did not answer within {self._timeout_s:g} s"
        if problem or not isinstance(answer, Verdict):
            return _failure(detector.name, problem, elapsed_s)
        return replace(answer, detector=detector.name, elapsed_s=elapsed_s)


def _nonsense(answer: object, text: str) -> str:
    """Return what is wrong with an answer, or nothing where it is a well-formed verdict."""
    if not isinstance(answer, Verdict) or not isinstance(answer.action, Action):
        return f"it answered {type(answer).__name__} instead of a verdict"
    if not 0.0 <= answer.score <= 1.0:
        return "its score is not between 0 and 1"
    if not spans_fit(text, answer.spans):
        return "it points at passages that the text does not have"
    if answer.action is Action.REDACT and (answer.redacted is None or not answer.spans):
        return "it asks to redact, without the redacted text or without its passages"
    if answer.action is not Action.REDACT and answer.redacted is not None:
        return f"it gave a redacted text and {answer.action} at once"
    return ""


def _judgement(text: str, verdicts: tuple[Verdict, ...]) -> Judgement:
    redacting = [verdict for verdict in verdicts if verdict.action is Action.REDACT]
    spans = [span for verdict in redacting for span in verdict.spans]
    going_on = redact(text, spans)
    own_wording = [v for v in redacting if v.redacted != redact(text, v.spans)]
    if own_wording and len(redacting) == 1:
        going_on = own_wording[0].redacted or ""
    elif own_wording:
        names = ", ".join(verdict.detector for verdict in own_wording)
        conflict = _failure(names, "its redaction cannot be merged with another detector's", 0.0)
        verdicts = (*verdicts, conflict)
    action = most_restrictive(verdicts).action
    return Judgement(action, "" if action is Action.BLOCK else going_on, verdicts)


def _failure(detector: str, problem: str, elapsed_s: float) -> Verdict:
    return Verdict(
        Action.BLOCK,
        detector,
        categories=(FAILED,),
        score=1.0,
        reason=f"The guard {detector} gave no usable verdict: {problem}. Nothing passes "
        "unjudged; repair the guard, or take it out of this boundary's list.",
        elapsed_s=elapsed_s,
    )


def _ungoverned(boundary: Boundary) -> Verdict:
    return Verdict(
        Action.ALLOW,
        "none",
        categories=(UNGUARDED,),
        reason=f"No detector configured for {boundary}; the content was not examined.",
    )
