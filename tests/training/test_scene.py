"""The dialogues: calls fit their schemas, answers state what was returned, nothing is doubled."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from jsonschema import Draft202012Validator

from agentkit.messages import ToolResultPart
from training.tool_use.composed import composed_tasks
from training.tool_use.families import family_tasks
from training.tool_use.python_tasks import python_declaration, python_task, run_code
from training.tool_use.scene import Scene, draw_scene


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [draw_scene(Random(seed)) for seed in range(200)]  # noqa: S311


def test_every_call_fits_its_tool_unless_its_result_is_an_error(scenes: list[Scene]) -> None:
    for scene in scenes:
        schemas = {tool.name: tool.parameters for tool in scene.tools}
        assert len(schemas) == len(scene.tools)
        for conversation in scene.conversations:
            for message in conversation:
                for call in message.calls:
                    Draft202012Validator(schemas[call.name]).validate(call.arguments)


def test_every_conversation_ends_in_words_and_results_follow_their_calls(
    scenes: list[Scene],
) -> None:
    for scene in scenes:
        for conversation in scene.conversations:
            assert conversation[0].role == "user"
            assert conversation[-1].role == "assistant"
            assert conversation[-1].text
            assert not conversation[-1].calls
            for before, message in pairwise(conversation):
                if message.role == "tool":
                    told = [p.call_id for p in message.parts if isinstance(p, ToolResultPart)]
                    assert told == [call.call_id for call in before.calls]


def test_answers_hold_the_values_of_their_results() -> None:
    rng = Random(4)  # noqa: S311
    tasks = [task for _ in range(150) for task in composed_tasks(rng, 2)]
    tasks += [task for _ in range(150) for task in family_tasks(rng, 2)]
    for task in tasks:
        (call,) = task.rounds[0]
        for value in task.values:
            assert value in call.result
            assert value in task.answer


def test_values_asked_for_stand_in_the_request() -> None:
    rng = Random(5)  # noqa: S311
    for _ in range(100):
        for task in family_tasks(rng, 2):
            (call,) = task.rounds[0]
            assert all(str(value) in task.request for value in call.arguments.values())


def test_code_prints_the_result_that_is_trained_on() -> None:
    rng = Random(6)  # noqa: S311
    for _ in range(200):
        task = python_task(rng, python_declaration(rng))
        (call,) = task.rounds[0]
        (code,) = call.arguments.values()
        assert run_code(str(code)) == call.result
        assert call.result in task.answer


def test_a_seed_is_a_scene() -> None:
    assert draw_scene(Random(9)) == draw_scene(Random(9))  # noqa: S311
    assert draw_scene(Random(9)) != draw_scene(Random(10))  # noqa: S311


def test_scenes_hold_every_kind_of_behaviour(scenes: list[Scene]) -> None:
    talks = [talk for scene in scenes for talk in scene.conversations]
    results = [p for t in talks for m in t for p in m.parts if isinstance(p, ToolResultPart)]
    assert any(len(message.calls) > 1 for talk in talks for message in talk)
    assert any(sum(bool(m.calls) for m in talk) > 1 for talk in talks)
    assert any(result.is_error for result in results)
    assert any("did not follow" in talk[-1].text for talk in talks)
    assert any(len(talk) == 2 for talk in talks)
