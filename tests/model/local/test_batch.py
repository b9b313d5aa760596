"""Continuous batching: replies do not depend on the company they are written in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentkit.model.local.batch_policy import BatchPolicy
from agentkit.model.local.generation import Runtime
from agentkit.model.local.prefix_store import PrefixPolicy
from agentkit.model.local.routing import route_experts
from agentkit.model.local.scheduler import Scheduler
from tests.model.local.streams import alone, drain, generation, ids, record, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from transformers import PreTrainedModel

    from agentkit.model.local.segments import Segment

SYSTEM = ids(40, 1)
SMALL = PrefixPolicy(least_tokens=4)


@pytest.fixture(scope="module")
def model(tiny_llama4: Callable[..., PreTrainedModel]) -> PreTrainedModel:
    """Chunks of 16 tokens and a global layer with temperature tuning."""
    built = tiny_llama4(attn_temperature_tuning=True)
    route_experts(built)
    return built


def _runtime(model: PreTrainedModel, *, prefill_tokens: int = 24, **batch: int | None) -> Runtime:
    return Runtime(
        model,
        context_tokens=256,
        prefill_tokens=prefill_tokens,
        prefixes=SMALL,
        batch=BatchPolicy(**batch),
    )


@pytest.mark.parametrize("streams", [1, 4, 16])
def test_replies_are_those_of_a_model_alone(model: PreTrainedModel, streams: int) -> None:
    """Lengths differ, so streams join and leave at different passes, across chunk boundaries."""
    runtime = _runtime(model, streams=streams)
    passes = record(runtime)
    scheduler = Scheduler(runtime)
    asked = [(ids(3 + 5 * n % 61, n), 4 + 3 * n % 17, 0.8 * (n % 2)) for n in range(16)]
    expected = [
        alone(model, prompt, length, temperature=heat, seed=n)
        for n, (prompt, length, heat) in enumerate(asked)
    ]
    with runtime.lock:
        tickets = [
            scheduler.submit(generation(runtime, prompt, length, temperature=heat, seed=n))
            for n, (prompt, length, heat) in enumerate(asked)
        ]
    for n, (ticket, (prompt, length, _)) in enumerate(zip(tickets, asked, strict=True)):
        assert drain(ticket) == expected[n]
        assert ticket.finish == "length"
        assert ticket.usage.completion_tokens == length
        assert ticket.usage.prompt_tokens == len(prompt)
    assert max(len(one) for one in passes) <= streams
    assert (max(len(one) for one in passes) > 1) == (streams > 1)
    scheduler.close()


def test_a_stream_that_joins_later_changes_nothing(model: PreTrainedModel) -> None:
    runtime = _runtime(model, streams=4, ahead=1)
    scheduler = Scheduler(runtime)
    expected = [alone(model, ids(30, n), 30) for n in range(3)]
    tickets = [scheduler.submit(generation(runtime, ids(30, 0), 30))]
    said: list[list[int]] = [[]]
    for n in (1, 2):
        while len(said[0]) < 8 * n:
            said[0] += tickets[0].take()[0]
        tickets.append(scheduler.submit(generation(runtime, ids(30, n), 30)))
        said.append([])
    got = [tokens + drain(ticket) for tokens, ticket in zip(said, tickets, strict=True)]
    assert got == expected
    scheduler.close()


def test_a_system_prompt_is_read_once_by_agents_that_start_together(
    model: PreTrainedModel,
) -> None:
    runtime = _runtime(model, streams=4)
    passes = record(runtime)
    scheduler = Scheduler(runtime)
    prompts = [SYSTEM + ids(5 + n, 20 + n) for n in range(4)]
    expected = [alone(model, prompt, 1) for prompt in prompts]
    with runtime.lock:
        tickets = [scheduler.submit(generation(runtime, prompt, 1)) for prompt in prompts]
    assert [drain(ticket) for ticket in tickets] == expected
    read = sum(len(segment.ids) for one in passes for segment in one)
    assert read == len(SYSTEM) + sum(len(prompt) - len(SYSTEM) for prompt in prompts)
    cached = [ticket.usage.cached_tokens for ticket in tickets]
    assert cached == [0] + [len(SYSTEM)] * 3
    scheduler.close()


def test_the_first_reader_may_leave_while_others_wait_for_it(model: PreTrainedModel) -> None:
    runtime = _runtime(model, streams=4, prefill_tokens=8)
    scheduler = Scheduler(runtime)
    prompts = [SYSTEM + ids(9, 30 + n) for n in range(3)]
    expected = [alone(model, prompt) for prompt in prompts]
    passes = record(runtime)
    run = runtime.forward_segments

    def leave_in_the_second_pass(segments: Sequence[Segment]) -> list[torch.Tensor]:
        if len(passes) == 1:
            tickets[0].close()
        return run(segments)

    runtime.forward_segments = leave_in_the_second_pass  # type: ignore[method-assign]  # the test's window
    with runtime.lock:
        tickets = [scheduler.submit(generation(runtime, prompt)) for prompt in prompts]
    assert [drain(ticket) for ticket in tickets[1:]] == expected[1:]
    assert drain(tickets[0]) == []
    assert tickets[0].finish == "cancelled"
    scheduler.close()


def test_the_next_turn_of_each_conversation_finds_its_cache(model: PreTrainedModel) -> None:
    runtime = _runtime(model, streams=4)
    scheduler = Scheduler(runtime)
    prompts = [ids(30, 40 + n) for n in range(4)]
    for turn in range(3):
        with runtime.lock:
            tickets = [scheduler.submit(generation(runtime, prompt, 6)) for prompt in prompts]
        replies = [drain(ticket) for ticket in tickets]
        settle(scheduler)
        for ticket, prompt in zip(tickets, prompts, strict=True):
            # All but what was added, and the last token, which never went through the model.
            assert ticket.usage.cached_tokens == (len(prompt) - 4 if turn else 0)
        assert replies == [alone(model, prompt, 6) for prompt in prompts]
        prompts = [
            [*prompt, *reply, *ids(3, turn)] for prompt, reply in zip(prompts, replies, strict=True)
        ]
    scheduler.close()


def test_a_long_prompt_holds_up_nobody(model: PreTrainedModel) -> None:
    """Each pass has a token of the stream that writes, and a bounded part of the prompts."""
    runtime = _runtime(model, streams=4, prefill_tokens=16, ahead=1000)
    scheduler = Scheduler(runtime)
    writing = scheduler.submit(generation(runtime, ids(10, 0), 60))
    assert writing.take()[0]
    passes = record(runtime)
    with runtime.lock:
        long = scheduler.submit(generation(runtime, ids(150, 1), 2))
        short = scheduler.submit(generation(runtime, ids(20, 2), 2))
    drain(long)
    drain(short)
    drain(writing)
    reading = [one for one in passes if any(len(segment.ids) > 1 for segment in one)]
    assert len(reading) >= 10
    for one in reading:
        sizes = sorted(len(segment.ids) for segment in one)
        assert sizes[0] == 1
        assert sum(size for size in sizes if size > 1) <= 16
    # The short prompt was read before the long one's end.
    kv_long = max((s for one in reading for s in one), key=lambda s: s.kv.get_seq_length()).kv
    last_of_others = max(
        n
        for n, one in enumerate(reading)
        if any(len(s.ids) > 1 and s.kv is not kv_long for s in one)
    )
    last_of_long = max(n for n, one in enumerate(reading) if any(s.kv is kv_long for s in one))
    assert last_of_others < last_of_long
    scheduler.close()


def test_streams_that_cannot_share_a_pass_take_turns(model: PreTrainedModel) -> None:
    runtime = _runtime(model, streams=3, ahead=1000)
    runtime.shares_passes = False
    passes = record(runtime)
    scheduler = Scheduler(runtime)
    expected = [alone(model, ids(9, n), 8) for n in range(3)]
    with runtime.lock:
        tickets = [scheduler.submit(generation(runtime, ids(9, n), 8)) for n in range(3)]
    assert [drain(ticket) for ticket in tickets] == expected
    caches = [id(segment.kv) for one in passes for segment in one]
    assert all(len(one) == 1 for one in passes)
    assert caches == caches[:3] * 8
    assert len(set(caches)) == 3
    scheduler.close()


def test_a_stream_that_nobody_reads_pauses_and_goes_on(model: PreTrainedModel) -> None:
    runtime = _runtime(model, streams=2, ahead=4)
    passes = record(runtime)
    scheduler = Scheduler(runtime)
    expected = [alone(model, ids(9, 0), 20), alone(model, ids(9, 1), 10)]
    paused = scheduler.submit(generation(runtime, ids(9, 0), 20))
    settle(scheduler)
    assert len(passes) == 4
    assert drain(scheduler.submit(generation(runtime, ids(9, 1), 10))) == expected[1]
    assert drain(paused) == expected[0]
    scheduler.close()
