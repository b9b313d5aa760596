"""The evaluation of tool use: its cases, its judgement, its figures."""

from __future__ import annotations

from random import Random

import anyio
import pytest

from agentkit.errors import ModelError
from agentkit.evaluation.tools import Kind, ToolReport, draw_cases, evaluate_tools
from agentkit.evaluation.tools.questions import draw_questions, is_right
from agentkit.evaluation.tools.score import calls_match, holds
from agentkit.evaluation.tools.unseen import UNSEEN
from agentkit.model.formats import ChatmlFormat
from agentkit.model.protocol import InvalidCallDelta, ToolCallDelta
from agentkit.model.scripted import ScriptedModel
from training.tool_use.scene import draw_scene


def test_there_are_enough_cases_over_enough_tools() -> None:
    cases = draw_cases()
    used = {call.name for case in cases for call in case.calls}
    assert len(cases) >= 500
    assert len(used) == len(UNSEEN) >= 20
    assert len({case.case_id for case in cases}) == len(cases)
    assert cases == draw_cases()
    for case in cases:
        declared = [tool.name for tool in case.tools]
        assert len(declared) == len(set(declared)) >= 1
        assert {call.name for call in case.calls} <= set(declared)
        assert all(fact in "".join(c.result for c in case.calls) for fact in case.facts)


def test_no_tool_of_the_cases_is_trained_on() -> None:
    trained = {
        tool.name.lower().replace("-", "_").replace(".", "_")
        for seed in range(300)
        for tool in draw_scene(Random(seed)).tools  # noqa: S311
    }
    assert len(trained) >= 60
    assert trained.isdisjoint(tool.name for tool in UNSEEN)


def test_a_model_that_is_always_right_gets_every_point() -> None:
    cases = draw_cases(calls=12, no_tool=3, injections=4)
    replies: list[str | list[ToolCallDelta]] = []
    for case in cases:
        if case.kind is Kind.CALL:
            replies.append([ToolCallDelta(c.name, c.arguments) for c in case.calls])
        if case.kind is Kind.NO_TOOL:
            replies.append("I have no tool for that.")
        else:
            replies.append(f"It is {' and '.join(case.facts)}.")
    report = anyio.run(evaluate_tools, ScriptedModel(replies), cases)
    assert report.rates["exact call"].of == 12
    assert {rate.share for rate in report.rates.values()} == {1.0}
    assert not report.failures
    bars = report.as_json()["bars"]
    assert isinstance(bars, dict)
    assert len(bars) == 4
    assert "100.0%" in report.as_table()


def test_a_model_that_obeys_injections_and_breaks_calls_gets_none() -> None:
    (call, nothing, injected) = draw_cases(calls=1, no_tool=1, injections=1)
    invalid = InvalidCallDelta("{", "broken")
    model = ScriptedModel([[invalid], "no idea", [invalid], [invalid]])
    report = anyio.run(evaluate_tools, model, [call, nothing, injected])
    assert {rate.share for rate in report.rates.values()} == {0.0}
    assert len(report.failures) == 4


def test_decoding_without_the_grammar_is_counted_on_its_own() -> None:
    (case,) = draw_cases(calls=1, no_tool=0, injections=0)
    written = '{"name": "x", "arguments": {}}'

    async def run() -> ToolReport:
        model = ScriptedModel(["none", "none", written])
        return await evaluate_tools(model, [case], prompt_format=ChatmlFormat())

    assert anyio.run(run).rates["valid call without grammar"].share == 1


def test_numbers_and_order_do_not_hide_equal_calls() -> None:
    one, two = ToolCallDelta("a", {"n": 5}), ToolCallDelta("b", {"s": "x"})
    assert calls_match([one, two], [two, ToolCallDelta("a", {"n": 5.0})])
    assert not calls_match([one], [ToolCallDelta("a", {"n": True})])
    assert not calls_match([one], [one, one])
    assert not calls_match([two], [ToolCallDelta("b", {"s": "X"})])


@pytest.mark.parametrize(
    ("answer", "fact", "found"),
    [
        ("It is 6.", "6", True),
        ("It is 16.", "6", False),
        ("It is 6.5", "6", False),
        ("It is 0.6", "6", False),
        ("That makes 1,297 kB", "1297", True),
        ("at 12:41.", "12:41", True),
        ("bx12 is yours", "BX12", True),
        ("BX123", "BX12", False),
    ],
)
def test_a_fact_is_found_as_a_whole(answer: str, fact: str, found: bool) -> None:
    assert holds(answer, fact) is found


def test_the_questions_are_the_same_every_time_and_judged_by_value() -> None:
    assert draw_questions(60) == draw_questions(60)
    assert len({question.text for question in draw_questions(60)}) == 60
    assert is_right("The mean is 12.33.", 37 / 3)
    assert is_right("That costs 1,250 kr.", 1250)
    assert not is_right("That costs 1251 kr.", 1250)
    assert is_right("It is a Tuesday.", "Tuesday")


def test_a_model_without_prompts_cannot_be_freed_of_its_grammar() -> None:
    class Remote:
        info = ScriptedModel([]).info

    async def run() -> None:
        await evaluate_tools(Remote(), [], prompt_format=ChatmlFormat())  # type: ignore[arg-type]  # on purpose no prompt model

    with pytest.raises(ModelError, match="grammar"):
        anyio.run(run)
