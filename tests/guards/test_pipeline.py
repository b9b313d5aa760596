from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from agentkit.errors import GuardError
from agentkit.guards import (
    DETECTOR_NAMES,
    Action,
    Boundary,
    Detector,
    GuardContext,
    GuardPipeline,
    HiddenTextDetector,
    SecretsDetector,
    Span,
    Verdict,
    build_pipeline,
)
from agentkit.guards.pipeline import FAILED, UNGUARDED

if TYPE_CHECKING:
    from agentkit.guards import Judgement

CONTEXT = GuardContext.of(Boundary.USER_INPUT)


class Says:
    """A detector that answers what it is given: a verdict, nonsense, or an exception to raise."""

    canary = "canary"

    def __init__(self, answer: object, name: str = "says") -> None:
        self.answer = answer
        self.name = name

    async def judge(self, text: str, context: GuardContext) -> object:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class Sleeps:
    name = "sleeps"
    canary = "canary"

    async def judge(self, text: str, context: GuardContext) -> None:
        await anyio.sleep_forever()


def pipeline_of(*detectors: Detector, timeout_s: float = 5.0) -> GuardPipeline:
    return GuardPipeline(dict.fromkeys(Boundary, detectors), timeout_s=timeout_s)


def judge(text: str, *detectors: Detector, timeout_s: float = 5.0) -> Judgement:
    return anyio.run(pipeline_of(*detectors, timeout_s=timeout_s).judge, text, CONTEXT)


def everywhere(*names: str) -> dict[Boundary, tuple[str, ...]]:
    return dict.fromkeys(Boundary, names)


def allow() -> Verdict:
    return Verdict(Action.ALLOW, "x")


def test_says_is_a_detector() -> None:
    assert isinstance(Says(allow()), Detector)


def test_most_restrictive_action_wins() -> None:
    result = judge(
        "text",
        Says(allow(), "a"),
        Says(Verdict(Action.REVIEW, "b", ("odd",)), "b"),
        Says(allow(), "c"),
    )
    assert result.action is Action.REVIEW
    assert result.decisive.detector == "b"
    assert [verdict.detector for verdict in result.verdicts] == ["a", "b", "c"]
    assert (result.text, result.categories, result.allows) == ("text", ("odd",), False)


def test_blocked_text_is_not_handed_on() -> None:
    result = judge("text", Says(Verdict(Action.BLOCK, "b"), "b"))
    assert (result.action, result.text) == (Action.BLOCK, "")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "allow",
        {"action": "allow"},
        Verdict("allow", "x"),
        Verdict(Action.ALLOW, "x", score=2.0),
        Verdict(Action.ALLOW, "x", score=float("nan")),
        Verdict(Action.ALLOW, "x", spans=(Span(0, 99, "c"),)),
        Verdict(Action.ALLOW, "x", spans=(Span(-1, 2, "c"),)),
        Verdict(Action.ALLOW, "x", spans=(Span(2, 2, "c"),)),
        Verdict(Action.ALLOW, "x", redacted="t"),
        Verdict(Action.REDACT, "x"),
        Verdict(Action.REDACT, "x", spans=(Span(0, 1, "c"),)),
        Verdict(Action.REDACT, "x", redacted="t"),
        Verdict(Action.ALLOW, "x", spans=("nonsense",)),
        RuntimeError("broken"),
        TimeoutError(),
        RecursionError(),
    ],
)
def test_failures_and_nonsense_block_and_name_the_detector(answer: object) -> None:
    result = judge("text", Says(answer), Says(allow(), "fine"))
    assert result.action is Action.BLOCK
    assert FAILED in result.decisive.categories
    assert "says" in result.decisive.reason


def test_timeout_blocks() -> None:
    result = judge("text", Sleeps(), timeout_s=0.05)
    assert result.action is Action.BLOCK
    assert "did not answer within 0.05 s" in result.decisive.reason


def test_detectors_run_at_the_same_time() -> None:
    async def main() -> Judgement:
        barrier = [anyio.Event(), anyio.Event()]

        class Meets:
            canary = "c"

            def __init__(self, mine: int, other: int) -> None:
                self.name, self.mine, self.other = f"meets{mine}", mine, other

            async def judge(self, text: str, context: GuardContext) -> Verdict:
                barrier[self.mine].set()
                await barrier[self.other].wait()
                return allow()

        return await pipeline_of(Meets(0, 1), Meets(1, 0)).judge("x", CONTEXT)

    assert anyio.run(main).action is Action.ALLOW


def test_cancelling_the_caller_is_not_a_verdict() -> None:
    async def main() -> bool:
        with anyio.move_on_after(0.05) as scope:
            await pipeline_of(Sleeps()).judge("x", CONTEXT)
        return scope.cancelled_caught

    assert anyio.run(main)


def test_redactions_are_merged_over_the_original_offsets() -> None:
    text = "key AKIA" + "IOSFODNN7\u200bEXAMPLE and\u200b more"
    result = judge(text, HiddenTextDetector(), SecretsDetector())
    assert result.action is Action.REDACT
    assert result.text == "key [redacted: secret.aws_access_key] and more"


def test_own_wording_is_kept_alone_and_blocks_where_it_cannot_be_merged() -> None:
    own = Verdict(Action.REDACT, "own", ("c",), spans=(Span(0, 4, "c"),), redacted="<name> b")
    assert judge("Anna b", Says(own)).text == "<name> b"
    conflict = judge("Anna \u200bb", Says(own, "own"), HiddenTextDetector())
    assert conflict.action is Action.BLOCK
    assert "cannot be merged" in conflict.decisive.reason


def test_no_detector_configured_is_said() -> None:
    result = judge("text")
    assert result.action is Action.ALLOW
    assert result.categories == (UNGUARDED,)
    assert "No detector configured" in result.decisive.reason


def test_wrong_configurations_are_errors() -> None:
    with pytest.raises(GuardError, match="tool_result"):
        GuardPipeline({Boundary.USER_INPUT: []}, timeout_s=1)
    with pytest.raises(GuardError, match="twice"):
        pipeline_of(Says(allow()), Says(allow()))
    for timeout_s in (0, -1, float("nan"), float("inf")):
        with pytest.raises(GuardError, match="positive"):
            pipeline_of(timeout_s=timeout_s)


def test_unknown_names_and_missing_models_are_errors() -> None:
    with pytest.raises(GuardError, match="no such guard: injectoin"):
        build_pipeline(everywhere("injectoin"), timeout_s=1)
    with pytest.raises(GuardError, match="no model is given"):
        build_pipeline(everywhere("llama_guard"), timeout_s=1)


def test_built_in_canaries_pass_at_every_boundary() -> None:
    names = [name for name in DETECTOR_NAMES if name != "llama_guard"]
    pipeline = build_pipeline(everywhere(*names), timeout_s=5)
    results = anyio.run(pipeline.check_canaries)
    assert len(results) == len(names) * len(Boundary)
    assert all(result.passed for result in results)
    assert pipeline.names[Boundary.TOOL_RESULT] == tuple(names)


@pytest.mark.parametrize("detector", [Says(allow()), Says(RuntimeError("x")), Sleeps()])
def test_a_detector_that_misses_its_canary_or_fails_does_not_pass(detector: Detector) -> None:
    results = anyio.run(pipeline_of(detector, timeout_s=0.05).check_canaries)
    assert not any(result.passed for result in results)


def test_elapsed_is_filled_by_the_pipeline() -> None:
    assert judge("text", Says(allow())).verdicts[0].elapsed_s > 0.0
