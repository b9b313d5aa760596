"""Many tasks of one process talk to one model."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import anyio
import pytest

from agentkit.errors import ModelError
from agentkit.messages import FunctionDeclaration, Message
from agentkit.model.local import BatchPolicy, load_local
from agentkit.model.protocol import (
    Constraint,
    FinishDelta,
    GenerationSettings,
    TextDelta,
    ToolCallDelta,
)

if TYPE_CHECKING:
    from pathlib import Path

    from agentkit.model.local import LocalModel
    from agentkit.model.local.generation import Generation
    from agentkit.model.local.scheduler import Ticket

SHORT = GenerationSettings(max_tokens=12)
LONG = GenerationSettings(max_tokens=400)
DAYS = FunctionDeclaration(
    "get_weather",
    "Weather of a city",
    {
        "type": "object",
        "properties": {"days": {"type": "integer", "minimum": 1, "maximum": 9}},
        "required": ["days"],
    },
)


async def _say(
    model: LocalModel, text: str, settings: GenerationSettings = SHORT
) -> tuple[str, FinishDelta]:
    said = ""
    async for delta in model.generate([Message.user(text)], settings=settings):
        if isinstance(delta, TextDelta):
            said += delta.text
        elif isinstance(delta, FinishDelta):
            return said, delta
    raise AssertionError("no end")


def _submitted(model: LocalModel, count: int) -> anyio.Event:
    """Return an event that is set once that many generations run or wait."""
    event, left = anyio.Event(), [count]
    submit = model._scheduler.submit

    def watched(generation: Generation) -> Ticket:
        ticket = submit(generation)
        left[0] -= 1
        if not left[0]:
            event.set()
        return ticket

    model._scheduler.submit = watched  # type: ignore[method-assign]  # the test's window
    return event


@pytest.mark.anyio
async def test_tasks_share_passes_and_get_their_own_replies(tiny_directory: Path) -> None:
    """Plain text, sampled text and a constrained call side by side."""
    model = load_local(tiny_directory, batch=BatchPolicy(streams=4))
    passes: list[int] = []
    run = model._runtime.forward_segments
    model._runtime.forward_segments = lambda segments: (
        passes.append(len(segments)),
        run(segments),
    )[1]
    asked = {
        text: GenerationSettings(max_tokens=12, temperature=heat, seed=n)
        for n, (text, heat) in enumerate(
            [("hello", 0.0), ("the weather", 1.0), ("in Paris", 0.7), ("world", 0.0)]
        )
    }
    expected = {text: (await _say(model, text, asked[text]))[0] for text in asked}
    got: dict[str, str] = {}
    calls: list[ToolCallDelta] = []

    async def one(text: str) -> None:
        got[text] = (await _say(model, text, asked[text]))[0]

    async def call() -> None:
        settings = GenerationSettings(max_tokens=300)
        deltas = model.generate(
            [Message.user("hello")],
            tools=[DAYS],
            constraint=Constraint("required"),
            settings=settings,
        )
        calls.extend([delta async for delta in deltas if isinstance(delta, ToolCallDelta)])

    assert set(passes) == {1}
    all_there = _submitted(model, 5)
    async with anyio.create_task_group() as group:
        with model._runtime.lock:
            group.start_soon(call)
            for text in asked:
                group.start_soon(one, text)
            await all_there.wait()
    assert got == expected
    assert calls
    assert all(one.arguments["days"] in range(1, 10) for one in calls)
    assert max(passes) == 4


@pytest.mark.anyio
async def test_a_full_queue_is_a_model_error(tiny_directory: Path) -> None:
    model = load_local(tiny_directory, batch=BatchPolicy(streams=1, queue=0))
    async with aclosing(model.generate([Message.user("hello")], settings=LONG)) as running:
        await anext(running)
        with pytest.raises(ModelError, match="queue is full"):
            await _say(model, "world")
    assert (await _say(model, "world"))[1].reason in {"length", "stop"}


@pytest.mark.anyio
async def test_cancelled_tasks_leave_the_others_alone(tiny_directory: Path) -> None:
    model = load_local(tiny_directory, batch=BatchPolicy(streams=2))
    expected = await _say(model, "hello world")
    got: list[str] = []
    scopes = [anyio.CancelScope() for _ in range(4)]

    async def endless(scope: anyio.CancelScope) -> None:
        with scope:
            await _say(model, "the weather", LONG)

    async def wanted() -> None:
        got.append((await _say(model, "hello world"))[0])
        for scope in scopes[2:]:
            scope.cancel()

    all_there = _submitted(model, 4)
    async with anyio.create_task_group() as group:
        with model._runtime.lock:
            for scope in scopes:  # two of them run, two wait
                group.start_soon(endless, scope)
            await all_there.wait()
        group.start_soon(wanted)
        for scope in scopes[:2]:
            scope.cancel()
    assert got == [expected[0]]
    assert (await _say(model, "hello world"))[0] == expected[0]


@pytest.mark.anyio
async def test_closing_ends_those_that_run_and_those_that_wait(tiny_directory: Path) -> None:
    model = load_local(tiny_directory, batch=BatchPolicy(streams=1))
    reasons: list[str] = []

    async def endless() -> None:
        reasons.append((await _say(model, "hello", LONG))[1].reason)

    all_there = _submitted(model, 3)
    async with anyio.create_task_group() as group:
        with model._runtime.lock:
            for _ in range(3):
                group.start_soon(endless)
            await all_there.wait()
        await model.aclose()
    assert reasons == ["cancelled"] * 3
    with pytest.raises(ModelError, match="closed"):
        await _say(model, "hello")
