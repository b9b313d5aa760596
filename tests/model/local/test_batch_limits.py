"""Continuous batching under load: refusals, streams that leave, passes that fail."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.errors import ModelError
from agentkit.model.local.batch_policy import BatchPolicy
from agentkit.model.local.generation import Generation, Runtime
from agentkit.model.local.prefix_store import PrefixPolicy
from agentkit.model.local.routing import route_experts
from agentkit.model.local.scheduler import Scheduler
from agentkit.model.protocol import GenerationSettings
from tests.model.local.streams import alone, drain, generation, ids, record, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from transformers import PreTrainedModel

    from agentkit.model.local.prefix_cache import StreamCache
    from agentkit.model.local.scheduler import Ticket
    from agentkit.model.local.segments import Segment

EVERYTHING = os.environ.get("AGENTKIT_TEST_ALL") == "1"


@pytest.fixture(scope="module")
def model(tiny_llama4: Callable[..., PreTrainedModel]) -> PreTrainedModel:
    built = tiny_llama4(num_hidden_layers=2, no_rope_layers=[1, 0])
    route_experts(built)
    return built


@pytest.fixture(scope="module")
def replies(model: PreTrainedModel) -> list[list[int]]:
    """What the prompts of ``ids(20 + n, n)`` are answered by a model that nobody else uses."""
    return [alone(model, ids(20 + n, n)) for n in range(6)]


def _open(model: PreTrainedModel, **batch: int | None) -> tuple[Runtime, Scheduler]:
    runtime = Runtime(
        model,
        context_tokens=256,
        prefill_tokens=16,
        prefixes=PrefixPolicy(least_tokens=4),
        batch=BatchPolicy(**batch),
    )
    return runtime, Scheduler(runtime)


def _ask(runtime: Runtime, number: int) -> Generation:
    return generation(runtime, ids(20 + number, number))


def test_a_full_queue_refuses_and_says_what_would_change_it(
    model: PreTrainedModel, replies: list[list[int]]
) -> None:
    runtime, scheduler = _open(model, streams=2, queue=3)
    with runtime.lock:
        tickets = [scheduler.submit(_ask(runtime, n)) for n in range(5)]
        with pytest.raises(ModelError, match="2 generations run and 3 wait") as caught:
            scheduler.submit(_ask(runtime, 5))
        assert "queue" in caught.value.cure
        assert "now 3" in caught.value.cure
        tickets[3].close()  # one that waits: its place in the queue is free at once
        tickets.append(scheduler.submit(_ask(runtime, 5)))
        tickets[0].close()  # one that runs: the next in line takes its place at once
        again = scheduler.submit(_ask(runtime, 0))
    assert [drain(ticket) for ticket in tickets[1:3]] == replies[1:3]
    assert drain(tickets[4]) == replies[4]
    assert drain(tickets[5]) == replies[5]
    assert drain(again) == replies[0]
    assert [tickets[n].finish for n in (0, 3)] == ["cancelled"] * 2
    scheduler.close()


def test_without_a_queue_only_places_count(model: PreTrainedModel) -> None:
    runtime, scheduler = _open(model, streams=1, queue=0)
    with runtime.lock:
        first = scheduler.submit(_ask(runtime, 0))
        with pytest.raises(ModelError, match="queue is full"):
            scheduler.submit(_ask(runtime, 1))
    drain(first)
    assert drain(scheduler.submit(_ask(runtime, 1)))
    scheduler.close()


def test_tokens_of_all_streams_are_bounded(
    model: PreTrainedModel, replies: list[list[int]]
) -> None:
    """Places are free, memory is not: the second and third wait, in the order they came."""
    runtime, scheduler = _open(model, streams=4, kv_tokens=70)
    passes = record(runtime)
    with runtime.lock:
        tickets = [scheduler.submit(_ask(runtime, n)) for n in range(4)]
    assert [drain(ticket) for ticket in tickets] == replies[:4]
    assert max(len(one) for one in passes) == 2  # 32 and 33 tokens fit, another 34 do not
    assert runtime.cache.tokens <= 70
    with pytest.raises(ModelError, match="hold 70") as caught:
        scheduler.submit(generation(runtime, ids(20, 0), 51))
    assert "kv_tokens" in caught.value.cure
    scheduler.close()


def test_the_default_holds_a_whole_context() -> None:
    assert BatchPolicy(streams=8).resolve_tokens(2048) == 16_384
    assert BatchPolicy(streams=8).resolve_tokens(8192) == 32_768
    assert BatchPolicy(streams=8).resolve_tokens(1 << 20) == 1 << 20


@pytest.mark.parametrize("wrong", [{"streams": 0}, {"queue": -1}, {"kv_tokens": 0}, {"ahead": 0}])
def test_numbers_with_which_nothing_runs_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ModelError, match=next(iter(wrong))):
        BatchPolicy(**wrong)


_ACTIONS = st.lists(
    st.tuples(st.sampled_from(["ask", "take", "leave"]), st.integers(0, 5)),
    min_size=4,
    max_size=24,
)


@settings(max_examples=100 if EVERYTHING else 10)
@given(actions=_ACTIONS, streams=st.integers(1, 3))
def test_whoever_leaves_changes_no_other_reply(
    model: PreTrainedModel,
    replies: list[list[int]],
    actions: list[tuple[str, int]],
    streams: int,
) -> None:
    runtime, scheduler = _open(model, streams=streams, queue=40, ahead=2)
    asked: list[tuple[Ticket, int, list[int]]] = []
    for action, number in actions:
        if action == "ask":
            asked.append((scheduler.submit(_ask(runtime, number)), number, []))
        elif asked and action == "leave":
            asked.pop(number % len(asked))[0].close()
        elif asked and asked[0][2] != replies[asked[0][1]]:
            asked[0][2].extend(asked[0][0].take()[0])  # the first in line never waits in vain
    for ticket, number, tokens in asked:
        assert tokens + (drain(ticket) if tokens != replies[number] else []) == replies[number]
        ticket.close()
    settle(scheduler)
    assert not scheduler._running
    assert not scheduler._waiting
    assert not runtime.cache.running
    scheduler.close()


def test_a_failing_pass_ends_its_streams_and_no_other(
    model: PreTrainedModel, replies: list[list[int]]
) -> None:
    runtime, scheduler = _open(model, streams=2)
    run, failing = runtime.forward_segments, [True]

    def break_once(segments: Sequence[Segment]) -> list[torch.Tensor]:
        if len(segments) == 2 and failing:
            failing.clear()
            raise RuntimeError("out of memory\nand more")
        return run(segments)

    runtime.forward_segments = break_once  # type: ignore[method-assign]  # the test's window
    with runtime.lock:
        tickets = [scheduler.submit(_ask(runtime, n)) for n in range(3)]
    for ticket in tickets[:2]:
        with pytest.raises(ModelError, match="RuntimeError: out of memory") as caught:
            drain(ticket)
        assert "again" in caught.value.cure
    assert drain(tickets[2]) == replies[2]
    settle(scheduler)
    assert len(runtime.cache.idle) == 1  # what the broken pass left half filled is gone
    assert drain(scheduler.submit(_ask(runtime, 0))) == replies[0]
    scheduler.close()


def test_a_cache_that_cannot_be_kept_ends_no_other_stream(
    model: PreTrainedModel, replies: list[list[int]]
) -> None:
    runtime, scheduler = _open(model, streams=1)
    release, failing = runtime.cache.release, [True]

    def fail_once(stream: StreamCache) -> None:
        release(stream)
        if failing:
            failing.clear()
            raise RuntimeError("out of memory")

    runtime.cache.release = fail_once  # type: ignore[method-assign]  # the test's window
    with runtime.lock:
        tickets = [scheduler.submit(_ask(runtime, n)) for n in range(3)]
    assert [drain(ticket) for ticket in tickets] == replies[:3]
    assert not failing
    scheduler.close()


class _Stuck:
    """A grammar that breaks a limit after three tokens."""

    is_finished = False

    def __init__(self) -> None:
        self._left = 3

    def fast_forward(self) -> list[int]:
        return []

    def mask(self, logits: torch.Tensor) -> None:
        del logits
        if not self._left:
            raise ModelError("constrained decoding failed", cure="simplify the schema")
        self._left -= 1

    def accept(self, token: int) -> None:
        del token


def test_an_error_in_one_streams_grammar_is_its_own(
    model: PreTrainedModel, replies: list[list[int]]
) -> None:
    runtime, scheduler = _open(model, streams=2)
    stuck = Generation(
        runtime,
        ids(20, 0),
        settings=GenerationSettings(max_tokens=12),
        stop_ids=frozenset(),
    )
    stuck.matcher = _Stuck()  # type: ignore[assignment]  # the methods that a generation calls
    with runtime.lock:
        tickets = [scheduler.submit(stuck), scheduler.submit(_ask(runtime, 1))]
    with pytest.raises(ModelError, match="constrained decoding failed") as caught:
        drain(tickets[0])
    assert caught.value.cure == "simplify the schema"
    assert drain(tickets[1]) == replies[1]
    scheduler.close()


def test_closing_ends_all_and_takes_no_more(model: PreTrainedModel) -> None:
    runtime, scheduler = _open(model, streams=1)
    with runtime.lock:
        tickets = [scheduler.submit(_ask(runtime, n)) for n in range(3)]
        scheduler.close()
    for ticket in tickets:
        assert drain(ticket) == []
        assert ticket.finish == "cancelled"
    runtime.close()
    with pytest.raises(ModelError, match="closed"):
        scheduler.submit(_ask(runtime, 0))
