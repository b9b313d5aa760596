from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from contextlib import aclosing
from typing import TYPE_CHECKING

import anyio
import pytest

from agentkit.errors import ModelError
from agentkit.labels import Label, SourceKind
from agentkit.messages import FunctionDeclaration, ImagePart, Message
from agentkit.model.grammar import ReplyMatcher
from agentkit.model.local.loading import load_local
from agentkit.model.prompt import Plain, Special
from agentkit.model.protocol import (
    ChatModel,
    Constraint,
    FinishDelta,
    GenerationSettings,
    PromptModel,
    TextDelta,
    ToolCallDelta,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agentkit.model.local import LocalModel
    from agentkit.model.protocol import Delta

SAY = [Message.user("hello world")]
LONG = GenerationSettings(max_tokens=400)
WEATHER = FunctionDeclaration(
    "get_weather",
    "Weather of a city",
    {
        "type": "object",
        "properties": {"days": {"type": "integer", "minimum": 1, "maximum": 9}},
        "required": ["days"],
    },
)


async def _all(deltas: AsyncIterator[Delta]) -> list[Delta]:
    return [delta async for delta in deltas]


def _text(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def _finish(deltas: list[Delta]) -> FinishDelta:
    assert [isinstance(delta, FinishDelta) for delta in deltas].count(True) == 1
    last = deltas[-1]
    assert isinstance(last, FinishDelta)
    return last


def test_it_is_a_chat_model_and_a_prompt_model(tiny_model: LocalModel) -> None:
    assert isinstance(tiny_model, ChatModel)
    assert tiny_model.prompt_format.name == "llama4"
    assert isinstance(tiny_model, PromptModel)
    assert tiny_model.info.architecture == "Llama4ForCausalLM"
    assert tiny_model.info.backend.startswith("in-process, ")


@pytest.mark.anyio
async def test_text_streams_and_repeats(tiny_model: LocalModel) -> None:
    settings = GenerationSettings(max_tokens=30, temperature=1.0, seed=3)
    first = await _all(tiny_model.generate(SAY, settings=settings))
    again = await _all(tiny_model.generate(SAY, settings=settings))
    assert len([d for d in first if isinstance(d, TextDelta)]) > 3
    assert _text(first) == _text(again)
    assert _finish(first).usage.cached_tokens == 0
    # The same prompt again: all of it but the token whose logits are wanted is in the cache,
    # unless a chunked layer (16 tokens here) had already dropped what the cut needs.
    assert _finish(again).usage.prompt_tokens == _finish(first).usage.prompt_tokens


@pytest.mark.anyio
async def test_leaving_the_iterator_stops_within_one_token(tiny_model: LocalModel) -> None:
    passes = _count_passes(tiny_model)
    async with aclosing(tiny_model.generate(SAY, settings=LONG)) as deltas:
        async for _ in deltas:
            break
    with tiny_model._runtime.lock:  # the pass that was under way ends first
        after = len(passes)
    await anyio.sleep(0.1)
    assert len(passes) <= after + 1  # one may have been about to begin
    assert after < 50
    assert _finish(await _all(tiny_model.generate(SAY, settings=GenerationSettings(max_tokens=2))))


@pytest.mark.anyio
async def test_a_cancelled_task_leaves_the_model_usable(tiny_model: LocalModel) -> None:
    """Both a scope of anyio and asyncio's own ``Task.cancel``, which no shield holds off."""
    fresh = await _all(tiny_model.generate(SAY, settings=GenerationSettings(max_tokens=8)))
    tiny_model._runtime.cache.forget()
    started = threading.Event()
    run = tiny_model._runtime.forward_segments
    tiny_model._runtime.forward_segments = lambda segments: (started.set(), run(segments))[1]

    async def endless() -> None:
        await _all(tiny_model.generate(SAY, settings=LONG))

    async with anyio.create_task_group() as group:
        group.start_soon(endless)
        await anyio.to_thread.run_sync(started.wait)
        group.cancel_scope.cancel()
    started.clear()
    task = asyncio.get_running_loop().create_task(endless())
    await anyio.to_thread.run_sync(started.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with tiny_model._runtime.lock:  # the pass that was under way ends first
        tiny_model._runtime.cache.forget()
    again = await _all(tiny_model.generate(SAY, settings=GenerationSettings(max_tokens=8)))
    assert _text(again) == _text(fresh)


@pytest.mark.anyio
async def test_two_generations_take_turns(tiny_model: LocalModel) -> None:
    alone = _text(await _all(tiny_model.generate(SAY, settings=GenerationSettings(max_tokens=20))))
    texts: list[str] = []

    async def one() -> None:
        deltas = await _all(tiny_model.generate(SAY, settings=GenerationSettings(max_tokens=20)))
        texts.append(_text(deltas))

    async with anyio.create_task_group() as group:
        group.start_soon(one)
        group.start_soon(one)
    assert texts == [alone, alone]


def test_it_works_from_one_event_loop_after_another(tiny_model: LocalModel) -> None:
    async def once() -> str:
        deltas = tiny_model.generate(SAY, settings=GenerationSettings(max_tokens=5))
        return _text(await _all(deltas))

    async def leave() -> None:
        async for _ in tiny_model.generate(SAY, settings=LONG):
            break

    expected = anyio.run(once)
    anyio.run(leave)
    assert anyio.run(once) == expected


@pytest.mark.anyio
async def test_a_required_call_is_a_valid_call(tiny_model: LocalModel) -> None:
    """The weights are random: only the grammar can have made this a call."""
    deltas = await _all(
        tiny_model.generate(SAY, tools=[WEATHER], constraint=Constraint("required"), settings=LONG)
    )
    calls = [delta for delta in deltas if isinstance(delta, ToolCallDelta)]
    assert calls
    assert all(call.name == "get_weather" for call in calls)
    assert all(call.arguments["days"] in range(1, 10) for call in calls)
    assert _text(deltas) == ""
    assert _finish(deltas).reason in {"calls", "length"}


@pytest.mark.anyio
async def test_forced_tokens_share_a_pass(tiny_model: LocalModel) -> None:
    passes = _count_passes(tiny_model)
    deltas = await _all(
        tiny_model.generate(SAY, tools=[WEATHER], constraint=Constraint("required"), settings=LONG)
    )
    written = _finish(deltas).usage.completion_tokens
    assert len(passes) < written


@pytest.mark.anyio
@pytest.mark.parametrize("seed", [0, 1])
async def test_forced_tokens_change_no_reply(
    tiny_directory: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """The slow path takes one forced token a pass; whole calls must come out the same."""

    def one_at_a_time(matcher: ReplyMatcher) -> list[int]:
        forced = matcher._matcher.compute_ff_tokens()[:1]
        for token in forced:
            matcher.accept(token)
        return forced

    async def reply() -> tuple[list[Delta], int]:
        model = load_local(tiny_directory)
        passes = _count_passes(model)
        settings = GenerationSettings(max_tokens=300, temperature=1.0, seed=seed)
        constraint = Constraint("required")
        deltas = model.generate(SAY, tools=[WEATHER], constraint=constraint, settings=settings)
        return [one for one in await _all(deltas) if isinstance(one, ToolCallDelta)], len(passes)

    fast, few = await reply()
    monkeypatch.setattr(ReplyMatcher, "fast_forward", one_at_a_time)
    slow, many = await reply()
    assert few < many
    assert fast
    assert [(call.name, call.arguments) for call in fast] == [
        (call.name, call.arguments) for call in slow
    ]


@pytest.mark.anyio
async def test_a_response_schema_is_kept(tiny_model: LocalModel) -> None:
    schema = Constraint(response_schema={"enum": ["yes", "no"]})
    deltas = await _all(tiny_model.generate(SAY, constraint=schema))
    assert _text(deltas) in {'"yes"', '"no"'}
    assert _finish(deltas).reason == "stop"


@pytest.mark.anyio
@pytest.mark.parametrize(("max_tokens", "reason"), [(3, "length"), (10, "length"), (60, "stop")])
async def test_a_reply_cut_inside_forced_tokens_was_cut(
    tiny_model: LocalModel, max_tokens: int, reason: str
) -> None:
    schema = Constraint(response_schema={"const": "this sentence is forced as a whole"})
    settings = GenerationSettings(max_tokens=max_tokens)
    deltas = await _all(tiny_model.generate(SAY, constraint=schema, settings=settings))
    assert _finish(deltas).reason == reason
    assert _text(deltas).endswith('whole"') is (reason == "stop")


@pytest.mark.anyio
async def test_first_token_scores_are_probabilities(tiny_model: LocalModel) -> None:
    settings = GenerationSettings(max_tokens=1, score_first_token=("safe", "unsafe"))
    prompt = (Special("<|begin_of_text|>"), Plain("judge"))
    finish = _finish(await _all(tiny_model.generate_prompt(prompt, settings=settings)))
    assert set(finish.first_token_scores) == {"safe", "unsafe"}
    assert all(0 < score < 1 for score in finish.first_token_scores.values())


@pytest.mark.anyio
async def test_a_prompt_too_long_is_refused_with_a_cure(tiny_model: LocalModel) -> None:
    with pytest.raises(ModelError, match="2048") as caught:
        await _all(tiny_model.generate([Message.user("word " * 5000)]))
    assert "shorten" in caught.value.cure
    assert _finish(await _all(tiny_model.generate(SAY, settings=GenerationSettings(max_tokens=1))))


@pytest.mark.anyio
async def test_an_image_is_refused(tiny_model: LocalModel) -> None:
    image = ImagePart(b"", "image/png", Label.untrusted(SourceKind.USER, "upload"))
    with pytest.raises(ModelError):
        await _all(tiny_model.generate([Message("user", (image,))]))


@pytest.mark.anyio
async def test_a_closed_model_says_so(tiny_model: LocalModel) -> None:
    await tiny_model.aclose()
    with pytest.raises(ModelError, match="closed"):
        await _all(tiny_model.generate(SAY))


@pytest.mark.anyio
async def test_a_closed_model_lets_its_weights_go(tiny_model: LocalModel) -> None:
    weights = weakref.ref(tiny_model._runtime._model)
    await _all(tiny_model.generate(SAY, settings=GenerationSettings(max_tokens=3)))
    await tiny_model.aclose()
    await tiny_model.aclose()
    tiny_model._scheduler._thread.shutdown(wait=True)
    gc.collect()
    assert weights() is None


@pytest.mark.anyio
async def test_closing_ends_a_running_reply(tiny_model: LocalModel) -> None:
    deltas = tiny_model.generate(SAY, settings=LONG)
    seen: list[Delta] = []
    async for delta in deltas:
        seen.append(delta)
        await tiny_model.aclose()
    assert _finish(seen).reason == "cancelled"


def _count_passes(model: LocalModel) -> list[int]:
    passes: list[int] = []
    run = model._runtime.forward_segments
    model._runtime.forward_segments = lambda segments: (
        passes.append(sum(len(one.ids) for one in segments)),
        run(segments),
    )[1]
    return passes
