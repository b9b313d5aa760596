"""Buffers made ahead hold what transformers' cache holds, and never change what was handed out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DynamicCache, Llama4TextConfig

from agentkit.model.local import kv_buffers
from agentkit.model.local.kv_buffers import KvBuffers
from agentkit.model.local.kv_snapshot import take_snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADS, DIM = 2, 4
CONFIG = Llama4TextConfig(
    num_hidden_layers=2, no_rope_layers=[1, 0], attention_chunk_size=16, num_key_value_heads=HEADS
)


def _draw(tokens: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    keys, values = torch.randn(2, 1, HEADS, tokens, DIM, generator=generator)
    return keys, values


def _append(cache: DynamicCache, tokens: int, seed: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [cache.update(*_draw(tokens, seed * 2 + layer), layer) for layer in range(2)]


def _state(cache: DynamicCache) -> list[torch.Tensor]:
    return [part for layer in cache.layers for part in (layer.keys, layer.values)]


def test_a_growth_that_fails_half_way_leaves_the_layer_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = KvBuffers(CONFIG)
    _append(cache, 5, 0)
    layer, before = cache.layers[0], [part.clone() for part in _state(cache)]
    grown = kv_buffers._grown
    calls: list[int] = []

    def run_out_of_memory(*given: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) > 1:
            raise MemoryError
        return grown(*given)

    monkeypatch.setattr(kv_buffers, "_grown", run_out_of_memory)
    capacity = layer.capacity
    with pytest.raises(MemoryError):
        layer.room(capacity, *_draw(1, 0))
    assert layer.capacity == capacity
    assert layer._v.shape == layer._k.shape
    assert all(map(torch.equal, _state(cache), before))


PARTS = st.lists(st.integers(1, 90), min_size=1, max_size=12)


@settings(max_examples=60)
@given(parts=PARTS)
def test_every_update_returns_what_transformers_returns(parts: Sequence[int]) -> None:
    ours, theirs = KvBuffers(CONFIG), DynamicCache(config=CONFIG)
    for seed, tokens in enumerate(parts):
        for found, wanted in zip(
            _append(ours, tokens, seed), _append(theirs, tokens, seed), strict=True
        ):
            assert torch.equal(found[0], wanted[0])
            assert torch.equal(found[1], wanted[1])
        for found, wanted in zip(_state(ours), _state(theirs), strict=True):
            assert torch.equal(found, wanted)
        for layer in range(2):
            assert ours.get_seq_length(layer) == theirs.get_seq_length(layer)
            assert ours.layers[layer].get_mask_sizes(3) == theirs.layers[layer].get_mask_sizes(3)


@settings(max_examples=60)
@given(parts=PARTS, at=st.integers(0, 11))
def test_what_was_handed_out_never_changes(parts: Sequence[int], at: int) -> None:
    cache = KvBuffers(CONFIG)
    views: list[torch.Tensor] = []
    copies: list[torch.Tensor] = []
    for seed, tokens in enumerate(parts):
        _append(cache, tokens, seed)
        if seed == at % len(parts):
            views = _state(cache)
            copies = [view.clone() for view in views]
    for view, copy in zip(views, copies, strict=True):
        assert torch.equal(view, copy)


@settings(max_examples=60)
@given(before=PARTS, after=PARTS, int8=st.booleans())
def test_a_restored_snapshot_goes_its_own_way(
    before: Sequence[int], after: Sequence[int], *, int8: bool
) -> None:
    cache, theirs = KvBuffers(CONFIG), DynamicCache(config=CONFIG)
    for seed, tokens in enumerate(before):
        _append(cache, tokens, seed)
        _append(theirs, tokens, seed)
    snapshot = take_snapshot(cache, CONFIG, range(sum(before)))
    assert snapshot is not None
    kept = snapshot.in_int8() if int8 else snapshot.compact()
    first, second = (kept.restore(CONFIG, buffers=True) for _ in range(2))
    held = [part.clone() for part in _state(first)]
    for seed, tokens in enumerate(after, start=100):
        _append(first, tokens, seed)
        _append(theirs, tokens, seed)
    for found, wanted in zip(_state(second), held, strict=True):
        assert torch.equal(found, wanted)
    for found, wanted in zip(_state(first), _state(theirs), strict=True):
        assert torch.allclose(found, wanted, atol=0.05 if int8 else 0)
    assert first.get_seq_length(0) == first.get_seq_length(1) == sum(before) + sum(after)


def test_a_compact_snapshot_keeps_no_larger_buffer_alive() -> None:
    cache = KvBuffers(CONFIG)
    _append(cache, 10, 0)
    snapshot = take_snapshot(cache, CONFIG, range(10))
    assert snapshot is not None
    compact = snapshot.compact()
    assert compact.nbytes == snapshot.nbytes
    for tensor in compact.tensors.values():
        assert tensor.untyped_storage().nbytes() == tensor.nbytes
    assert any(t.untyped_storage().nbytes() > t.nbytes for t in snapshot.tensors.values())


def test_tokens_that_left_a_window_do_not_come_back() -> None:
    cache = KvBuffers(CONFIG)
    _append(cache, 10, 0)
    cache.crop(-4)
    assert cache.get_seq_length(0) == cache.get_seq_length(1) == 6
    keys, _ = _draw(1, 0)
    assert cache.update(keys, keys, 1)[0].shape[-2] == 7
    cache.update(keys, keys, 0)
    _append(cache, 20, 1)
    with pytest.raises(RuntimeError, match="left the window"):
        cache.layers[0].crop(-1)
    with pytest.raises(RuntimeError, match="do not record"):
        cache.layers[0].activate_past_recording()


def test_a_reset_cache_starts_anew() -> None:
    cache = KvBuffers(CONFIG)
    _append(cache, 30, 0)
    cache.reset()
    assert cache.get_seq_length(0) == cache.get_seq_length(1) == 0
    (keys, _), _ = _append(cache, 5, 1)
    assert torch.equal(keys, _draw(5, 2)[0])
