"""The native decode step: transformers' logits, whatever the layers, streams and cache modes."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import anyio
import pytest
import torch
from structlog.testing import capture_logs
from transformers import DynamicCache

from agentkit.errors import ModelError
from agentkit.messages import Message
from agentkit.model.kernels import Weights
from agentkit.model.kernels.dispatch import library
from agentkit.model.local.generation import Runtime
from agentkit.model.local.linears import PackedLinear, linear_shape, pack_linear
from agentkit.model.local.loading import load_local
from agentkit.model.local.native import NativeDecoder
from agentkit.model.local.prefix_store import PrefixPolicy
from agentkit.model.local.routing import route_experts
from agentkit.model.protocol import GenerationSettings, TextDelta
from tests.model.local.decoders import full_logits, native_decoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from transformers import PreTrainedModel

    from agentkit.model.local import LocalModel
    from agentkit.model.local.kv_buffers import KvBuffers
    from agentkit.model.local.prefix_cache import StreamCache

IDS = torch.randint(3, 500, (4, 60), generator=torch.Generator().manual_seed(1))


pytestmark = pytest.mark.usefixtures("built_kernels")


def _prefill(model: PreTrainedModel, ids: Sequence[int], cache: KvBuffers) -> None:
    with torch.inference_mode():
        model(torch.tensor([list(ids)]), past_key_values=cache, use_cache=True)


LAYERS = {
    "plain": {},
    "no qk norm": {"use_qk_norm": False},
    "temperature": {"attn_temperature_tuning": True},
    "all rotary": {"no_rope_layers": [1, 1, 1, 1]},
    "every other NoPE": {"no_rope_layers": [1, 0, 1, 0], "attn_temperature_tuning": True},
    "one key head": {"num_key_value_heads": 1},
    "as many key heads": {"num_key_value_heads": 4},
    "six heads of 32": {"num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 32},
    "five heads of 128 a key head": {
        "num_attention_heads": 10,
        "num_key_value_heads": 2,
        "head_dim": 128,
    },
    "seven heads a key head": {"num_attention_heads": 7, "num_key_value_heads": 1},
    "dense layers": {"interleave_moe_layer_step": 2},
    "top 2": {"num_experts_per_tok": 2},
    "odd sizes": {
        "hidden_size": 72,
        "vocab_size": 501,
        "intermediate_size_mlp": 50,
        "interleave_moe_layer_step": 2,
    },
    "tied": {"tie_word_embeddings": True},
    "biased": {"attention_bias": True},
    "scaled rotary": {
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 500.0,
            "factor": 8.0,
            "high_freq_factor": 4.0,
            "low_freq_factor": 1.0,
            "original_max_position_embeddings": 32,
        }
    },
}


@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
def test_fp32_logits_equal_transformers(
    tiny_llama4: Callable[..., PreTrainedModel], layers: dict[str, object]
) -> None:
    """Prefill by transformers, then steps over several chunks of 16, and from an empty cache."""
    theirs = tiny_llama4(**layers)
    ours = copy.deepcopy(theirs)
    decoder = native_decoder(ours)
    ids = IDS[0].tolist()
    expected = full_logits(theirs, IDS[0])
    for read in (0, 13, 20):
        cache = decoder.new_cache()
        if read:
            _prefill(ours, ids[:read], cache)
        found = torch.cat([decoder.step([token], [cache]) for token in ids[read:]])
        assert (found - expected[read:]).abs().max() <= 1e-4
        assert cache.get_seq_length() == len(ids)


@pytest.mark.parametrize("count", [1, 3, 8, 17])
def test_streams_of_different_lengths_share_a_step(
    tiny_llama4: Callable[..., PreTrainedModel], count: int
) -> None:
    theirs = tiny_llama4(attn_temperature_tuning=True, interleave_moe_layer_step=2)
    ours = copy.deepcopy(theirs)
    decoder = native_decoder(ours)
    streams = [IDS[n % 4, n // 4 :].tolist() for n in range(count)]
    expected = [full_logits(theirs, torch.tensor(stream)) for stream in streams]
    caches = [decoder.new_cache() for _ in streams]
    reads = [(7 * n) % 40 for n in range(count)]
    for stream, cache, read in zip(streams, caches, reads, strict=True):
        if read:
            _prefill(ours, stream[:read], cache)
    for step in range(12):
        at = [read + step for read in reads]
        tokens = [stream[n] for stream, n in zip(streams, at, strict=True)]
        found = decoder.step(tokens, caches)
        for row, full, n in zip(found, expected, at, strict=True):
            assert (row - full[n]).abs().max() <= 1e-4


def test_tokens_of_one_stream_follow_each_other_in_a_step(
    tiny_llama4: Callable[..., PreTrainedModel],
) -> None:
    theirs = tiny_llama4()
    ours = copy.deepcopy(theirs)
    decoder = native_decoder(ours)
    ids, expected = IDS[0].tolist(), full_logits(theirs, IDS[0])
    cache = decoder.new_cache()
    for start, end in ((0, 5), (5, 14), (14, 30), (30, 31), (31, 60)):
        found = decoder.extend([(ids[start:end], cache)])[0]
        assert (found - expected[end - 1]).abs().max() <= 1e-4
    # And transformers goes on from what the step wrote.
    ours_cache = decoder.new_cache()
    decoder.extend([(ids[:33], ours_cache)])
    with torch.inference_mode():
        out = ours(IDS[:1, 33:], past_key_values=ours_cache, use_cache=True).logits[0]
    assert (out - expected[33:]).abs().max() <= 1e-4


def test_segments_of_different_streams_share_a_step(
    tiny_llama4: Callable[..., PreTrainedModel],
) -> None:
    theirs = tiny_llama4()
    decoder = native_decoder(copy.deepcopy(theirs))
    streams = [(stream.tolist(), decoder.new_cache()) for stream in IDS[:3]]
    expected = [full_logits(theirs, stream) for stream in IDS[:3]]
    at = [0, 0, 0]
    for counts in ((3, 1, 9), (1, 20, 1), (7, 1, 2)):
        segments = [
            (ids[start : start + count], cache)
            for (ids, cache), start, count in zip(streams, at, counts, strict=True)
        ]
        found = decoder.extend(segments)
        at = [start + count for start, count in zip(at, counts, strict=True)]
        for row, full, end in zip(found, expected, at, strict=True):
            assert (row - full[end - 1]).abs().max() <= 1e-4


def test_long_contexts_are_read_in_pieces(tiny_llama4: Callable[..., PreTrainedModel]) -> None:
    theirs = tiny_llama4(max_position_embeddings=2048, attention_chunk_size=512)
    ours = copy.deepcopy(theirs)
    decoder = native_decoder(ours)
    ids = torch.randint(3, 500, (700,), generator=torch.Generator().manual_seed(2))
    expected = full_logits(theirs, ids)
    cache = decoder.new_cache()
    _prefill(ours, ids[:500].tolist(), cache)
    for n in range(500, 700):
        found = decoder.step([int(ids[n])], [cache])[0]
        assert (found - expected[n]).abs().max() <= 1e-4


@pytest.mark.parametrize("level", ["amx", "avx512_bf16", "avx512", "avx2", "portable"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tied", [False, True])
def test_every_instruction_set_computes_the_same(
    tiny_llama4: Callable[..., PreTrainedModel], level: str, dtype: torch.dtype, tied: bool
) -> None:
    kernel = library()
    assert kernel is not None
    if not kernel.use_level(level):
        return  # not on this CPU, and said so by the kernel's own tests
    try:
        # One expert: bf16's rounding cannot send a token another way.
        exact = tiny_llama4(num_local_experts=1, tie_word_embeddings=tied).to(dtype).float()
        decoder = native_decoder(copy.deepcopy(exact).to(dtype))
        cache = decoder.new_cache()
        found = torch.cat([decoder.step([t], [cache]) for t in IDS[0, :40].tolist()])
        expected = full_logits(exact, IDS[0, :40])
        error = float((found - expected).norm() / expected.norm())
        assert error <= (1e-5 if dtype is torch.float32 else 0.03)
        read = decoder.extend([(IDS[0, :40].tolist(), decoder.new_cache())])[0]
        error = float((read - expected[-1]).norm() / expected[-1].norm())
        assert error <= (1e-5 if dtype is torch.float32 else 0.03)
    finally:
        assert kernel.use_level(kernel.best_level)


def test_bf16_agrees_with_fp32_on_the_next_token(
    tiny_llama4: Callable[..., PreTrainedModel],
) -> None:
    """Outside near ties, and where rounding sent no token to another expert: one expert here."""
    exact = tiny_llama4(num_local_experts=1, max_position_embeddings=1024).bfloat16().float()
    decoder = native_decoder(copy.deepcopy(exact).bfloat16())
    ids = torch.randint(3, 500, (400,), generator=torch.Generator().manual_seed(3))
    expected = full_logits(exact, ids)
    cache = decoder.new_cache()
    found = torch.cat([decoder.step([token], [cache]) for token in ids.tolist()])
    best = expected.topk(2).values
    clear = best[:, 0] - best[:, 1] > 0.05 * expected.std()
    agree = (found.argmax(-1) == expected.argmax(-1))[clear]
    assert clear.sum() >= 200
    assert agree.float().mean() >= 0.99


def test_int8_linears_and_experts_stay_close(tiny_llama4: Callable[..., PreTrainedModel]) -> None:
    exact = tiny_llama4(num_local_experts=1, interleave_moe_layer_step=2)
    ours = copy.deepcopy(exact)
    for layer in ours.model.layers:
        for module in (layer.self_attn, layer.feed_forward):
            for name, child in list(module.named_children()):
                if type(child) is torch.nn.Linear and name != "router":
                    setattr(module, name, _int8(child))
    ours.lm_head = _int8(ours.lm_head)
    decoder = native_decoder(ours, Weights.INT8)
    cache = decoder.new_cache()
    found = torch.cat([decoder.step([token], [cache]) for token in IDS[0].tolist()])
    expected = full_logits(exact, IDS[0])
    error = float((found - expected).norm() / expected.norm())
    assert 1e-4 < error <= 0.05


def _int8(linear: torch.nn.Linear) -> PackedLinear:
    shape = linear_shape(linear.in_features, linear.out_features, Weights.INT8, 32)
    return PackedLinear(shape, *pack_linear(linear.weight.detach(), shape), None)


@pytest.fixture
def native_runtime(
    tiny_llama4: Callable[..., PreTrainedModel],
) -> Iterator[tuple[Runtime, PreTrainedModel]]:
    theirs = tiny_llama4()
    ours = copy.deepcopy(theirs)
    decoder = native_decoder(ours)
    policy = PrefixPolicy(least_tokens=4)
    runtime = Runtime(ours, context_tokens=256, prefill_tokens=24, prefixes=policy, native=decoder)
    yield runtime, theirs
    runtime.close()


def _go_on(runtime: Runtime, prompt: Sequence[int], written: Sequence[int]) -> torch.Tensor:
    """Read a prompt, then write tokens one by one; return the last logits."""
    stream = runtime.cache.open(prompt, len(prompt) + len(written))
    logits = torch.empty(0)
    try:
        pending = list(prompt[len(stream.ids) :])
        while pending:
            logits = _pass(runtime, stream, pending)
            pending = list(prompt[len(stream.ids) :])
        for token in written:
            logits = _pass(runtime, stream, [token])
        assert stream.kv.get_seq_length() == len(prompt) + len(written)
    except BaseException:
        stream.broken = True
        raise
    finally:
        runtime.cache.release(stream)
    return logits


def _pass(runtime: Runtime, stream: StreamCache, pending: Sequence[int]) -> torch.Tensor:
    segment = stream.segment(pending, runtime.prefill_tokens)
    (logits,) = runtime.forward_segments([segment])
    runtime.cache.note_pass(stream, segment.ids)
    return logits


def test_prefixes_are_reused_cut_and_taken_up_again(
    native_runtime: tuple[Runtime, PreTrainedModel],
) -> None:
    runtime, theirs = native_runtime
    system, one, two, three = IDS[0, :40], IDS[1], IDS[2], IDS[3]
    for tail in (one[:25], two[:20], three[:30], torch.cat([one[:25], two[:11]]), one[:9]):
        ids = torch.cat([system, tail])
        logits = _go_on(runtime, ids[:-6].tolist(), ids[-6:].tolist())
        assert (logits - full_logits(theirs, ids)[-1]).abs().max() <= 1e-4


def test_a_pass_that_broke_off_leaves_no_trace(
    native_runtime: tuple[Runtime, PreTrainedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, theirs = native_runtime
    ids = IDS[0]
    _go_on(runtime, ids[:30].tolist(), [])
    with monkeypatch.context() as patch:

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(runtime.native, "extend", interrupt)
        with pytest.raises(KeyboardInterrupt):
            _go_on(runtime, ids[:30].tolist(), [int(ids[30])])
    logits = _go_on(runtime, ids[:50].tolist(), ids[50:].tolist())
    assert (logits - full_logits(theirs, ids)[-1]).abs().max() <= 1e-4


def test_a_refused_step_leaves_the_caches_as_they_were(
    tiny_llama4: Callable[..., PreTrainedModel],
) -> None:
    decoder = native_decoder(tiny_llama4())
    cache = decoder.new_cache()
    decoder.step([5], [cache])
    with pytest.raises(ModelError, match="1 tokens for 2 caches"):
        decoder.step([5], [cache, cache])
    with pytest.raises(ModelError, match="0 tokens"):
        decoder.step([], [])
    for token in (-1, 500, 1 << 40):
        with pytest.raises(ModelError, match="for a vocabulary of 500"):
            decoder.step([5, token], [cache, cache])
    assert cache.get_seq_length() == 1


def test_nothing_changes_for_what_the_step_cannot_run(
    tiny_llama4: Callable[..., PreTrainedModel],
) -> None:
    routed = tiny_llama4()
    route_experts(routed)
    before = dict(routed.named_modules())
    with capture_logs() as logs:
        assert NativeDecoder.of(routed) is None
        assert NativeDecoder.of(tiny_llama4(head_dim=8)) is None
    assert dict(routed.named_modules()) == before
    said = [entry["reason"] for entry in logs if entry["event"] == "decode_in_torch"]
    assert said == ["a feed-forward is RoutedMoe", "heads of 8 are no multiple of 16"]


def test_a_plain_cache_still_works_beside_the_buffers(
    tiny_llama4: Callable[..., PreTrainedModel],
) -> None:
    theirs = tiny_llama4(tie_word_embeddings=True)
    ours = copy.deepcopy(theirs)
    native_decoder(ours)
    cache = DynamicCache(config=ours.config)
    with torch.inference_mode():
        parts = [ours(part, past_key_values=cache).logits[0] for part in IDS[:1].split(13, dim=1)]
    assert (torch.cat(parts) - full_logits(theirs, IDS[0])).abs().max() <= 1e-4


def _replies(model: LocalModel, texts: Sequence[str]) -> list[str]:
    """Reply to each text greedily, in one conversation after the other."""
    settings = GenerationSettings(max_tokens=40, temperature=0.0)

    async def run() -> list[str]:
        said = []
        for text in texts:
            deltas = [d async for d in model.generate([Message.user(text)], settings=settings)]
            # How the tokens are cut into deltas depends on how fast they are taken.
            said.append("".join(d.text for d in deltas if isinstance(d, TextDelta)))
        return said

    return anyio.run(run)


def test_a_loaded_model_replies_as_it_does_without_the_step(
    tiny_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["hello", "hello world", "something else", "hello world"]
    steps: list[int] = []
    run = NativeDecoder._run
    with monkeypatch.context() as patch:
        patch.setattr(
            NativeDecoder, "_run", lambda own, *rest: (steps.append(1), run(own, *rest))[1]
        )
        ours = _replies(load_local(tiny_directory), texts)
    monkeypatch.setattr(NativeDecoder, "of", lambda model: None)
    assert ours == _replies(load_local(tiny_directory), texts)
    assert len(steps) >= 4
