from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DynamicCache

from agentkit.errors import ModelError
from agentkit.model.local.batch_policy import BatchPolicy
from agentkit.model.local.generation import Generation, Runtime, run_pass
from agentkit.model.local.routing import route_experts
from agentkit.model.local.segments import Segment
from agentkit.model.protocol import GenerationSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedModel


PROMPT = [int(n) for n in torch.randint(3, 500, (70,), generator=torch.Generator().manual_seed(5))]


def _runtime(
    build: Callable[..., PreTrainedModel], *, prefill_tokens: int = 256, **overrides: object
) -> Runtime:
    model = build(**overrides)
    route_experts(model)
    batch = BatchPolicy(streams=1)
    return Runtime(model, context_tokens=256, prefill_tokens=prefill_tokens, batch=batch)


def _step(runtime: Runtime, generation: Generation) -> tuple[int, ...]:
    """Run one pass for this generation alone."""
    if generation.finish is not None:
        return ()
    if generation.reading and not generation.pending:
        generation.open()
    (result,) = run_pass(runtime, [(generation, runtime.prefill_tokens)])
    if isinstance(result, Exception):
        raise result
    return result


def _run(
    runtime: Runtime, prompt: list[int], *, stop: frozenset[int] = frozenset(), max_tokens: int = 20
) -> tuple[list[int], Generation]:
    generation = Generation(
        runtime, prompt, settings=GenerationSettings(max_tokens=max_tokens), stop_ids=stop
    )
    tokens: list[int] = []
    while generation.finish is None:
        tokens += _step(runtime, generation)
    generation.release()
    return tokens, generation


def _greedy_oracle(model: PreTrainedModel, prompt: list[int], length: int) -> list[int]:
    """Read everything anew for each token, with no cache at all."""
    ids = list(prompt)
    with torch.inference_mode():
        for _ in range(length):
            ids.append(int(model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    return ids[len(prompt) :]


@pytest.mark.parametrize("prefill_tokens", [1, 7, 256])
def test_greedy_equals_reading_everything_anew(
    tiny_llama4: Callable[..., PreTrainedModel], prefill_tokens: int
) -> None:
    runtime = _runtime(tiny_llama4, prefill_tokens=prefill_tokens)
    tokens, generation = _run(runtime, PROMPT, max_tokens=10)
    assert tokens == _greedy_oracle(runtime._model, PROMPT, 10)
    assert generation.finish == "length"
    assert generation.usage.completion_tokens == 10
    assert generation.usage.prompt_tokens == 70


def test_a_stop_id_ends_the_reply_and_is_no_text(
    tiny_llama4: Callable[..., PreTrainedModel],
) -> None:
    runtime = _runtime(tiny_llama4)
    tokens, _ = _run(runtime, PROMPT)
    stop = next(n for n, token in enumerate(tokens) if n > 2 and token not in tokens[:n])
    shorter, generation = _run(runtime, PROMPT, stop=frozenset({tokens[stop]}))
    assert shorter == tokens[:stop]
    assert generation.finish == "stop"
    assert generation.usage.completion_tokens == stop + 1


@pytest.mark.parametrize("chunk", [16, 256])
def test_logits_after_prefix_reuse_equal_fresh_ones(
    tiny_llama4: Callable[..., PreTrainedModel], chunk: int
) -> None:
    reusing = _runtime(tiny_llama4, attention_chunk_size=chunk)
    fresh = _runtime(tiny_llama4, attention_chunk_size=chunk)

    @given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 30)), min_size=1, max_size=5))
    @settings(max_examples=12, deadline=None)
    def check(edits: list[tuple[int, int]]) -> None:
        """Each edit keeps a prefix of the last prompt and appends other tokens."""
        ids = list(PROMPT[:20])
        for keep, added in edits:
            ids = [*ids[:keep], *PROMPT[-added:]]
            stream = reusing.cache.open(ids, len(ids))
            cached = len(stream.ids)
            assert 0 <= cached < len(ids)
            (got,) = reusing.forward_segments([Segment(stream.kv, tuple(ids[cached:]))])
            reusing.cache.note_pass(stream, ids[cached:])
            reusing.cache.release(stream)
            alone = Segment(DynamicCache(config=fresh._model.config), tuple(ids))
            assert (got - fresh.forward_segments([alone])[0]).abs().max() <= 1e-4
            assert stream.ids == ids

    check()


def test_an_extended_conversation_is_read_from_its_new_part_on(
    tiny_llama4: Callable[..., PreTrainedModel],
) -> None:
    runtime = _runtime(tiny_llama4, attention_chunk_size=256)
    tokens, _ = _run(runtime, PROMPT, max_tokens=5)
    longer, generation = _run(runtime, [*PROMPT, *tokens, 9, 8, 7], max_tokens=5)
    # The last token that was written never went through the model.
    assert generation.usage.cached_tokens == len(PROMPT) + 4
    assert longer == _greedy_oracle(runtime._model, [*PROMPT, *tokens, 9, 8, 7], 5)


def test_interleaved_generations_do_not_mix(tiny_llama4: Callable[..., PreTrainedModel]) -> None:
    runtime = _runtime(tiny_llama4)
    ask = GenerationSettings(max_tokens=8)
    pair = [
        Generation(runtime, prompt, settings=ask, stop_ids=frozenset())
        for prompt in (PROMPT[:30], PROMPT[30:])
    ]
    written: list[list[int]] = [[], []]
    while any(generation.finish is None for generation in pair):
        for number, generation in enumerate(pair):
            written[number].extend(_step(runtime, generation))
    assert written[0] == _greedy_oracle(runtime._model, PROMPT[:30], 8)
    assert written[1] == _greedy_oracle(runtime._model, PROMPT[30:], 8)


def test_a_broken_pass_leaves_no_half_filled_cache(
    tiny_llama4: Callable[..., PreTrainedModel],
) -> None:
    runtime = _runtime(tiny_llama4)
    expected, _ = _run(runtime, PROMPT)
    last = runtime._model.model.layers[-1]

    def fail(*_: object) -> None:
        raise RuntimeError("out of memory")

    hook = last.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError):
        _run(runtime, PROMPT[5:])
    hook.remove()
    (broken,) = runtime.cache.running
    runtime.cache.release(broken)
    assert broken not in runtime.cache.idle
    assert _run(runtime, PROMPT)[0] == expected


def test_the_context_bounds_the_reply(tiny_llama4: Callable[..., PreTrainedModel]) -> None:
    model = tiny_llama4()
    runtime = Runtime(model, context_tokens=75)
    tokens, generation = _run(runtime, PROMPT, max_tokens=100)
    assert len(tokens) == 5
    assert generation.finish == "length"
    with pytest.raises(ModelError, match="70"):
        _run(Runtime(model, context_tokens=70), PROMPT[:75])
    with pytest.raises(ModelError, match="empty"):
        _run(runtime, [])
