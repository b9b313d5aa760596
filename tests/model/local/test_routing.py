from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DynamicCache

from agentkit.model.local.routing import RoutedMoe, choose_experts, route_experts

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedModel

TOLERANCE = 1e-4
LENGTH = 60


def _logits(model: PreTrainedModel, ids: torch.Tensor, pieces: list[int]) -> torch.Tensor:
    """All logits of ``ids`` [1, tokens] when read in ``pieces`` through a cache."""
    with torch.inference_mode():
        if not pieces:
            return model(ids, use_cache=False).logits[0]
        cache = DynamicCache(config=model.config)
        parts = ids.split(pieces, dim=1)
        return torch.cat([model(part, past_key_values=cache).logits[0] for part in parts])


@pytest.mark.parametrize("top_k", [1, 2])
@pytest.mark.parametrize("experts", [1, 4, 16])
@pytest.mark.parametrize("tuning", [False, True])
@pytest.mark.parametrize("step", [1, 2])
def test_logits_equal_transformers(
    tiny_llama4: Callable[..., PreTrainedModel],
    *,
    top_k: int,
    experts: int,
    tuning: bool,
    step: int,
) -> None:
    top_k = min(top_k, experts)
    theirs = tiny_llama4(
        num_local_experts=experts,
        num_experts_per_tok=top_k,
        attn_temperature_tuning=tuning,
        interleave_moe_layer_step=step,
    )
    ours = copy.deepcopy(theirs)
    assert route_experts(ours) == 4 // step
    ids = torch.randint(3, 500, (1, LENGTH), generator=torch.Generator().manual_seed(1))
    expected = _logits(theirs, ids, [])
    for pieces in ([], [12] * 5, [20, *[1] * 40], [1] * LENGTH):
        assert (_logits(ours, ids, pieces) - expected).abs().max() <= TOLERANCE


def test_a_wrong_score_placement_would_be_seen(tiny_llama4: Callable[..., PreTrainedModel]) -> None:
    """The oracle is sharp enough: weighting the output instead moves logits beyond tolerance."""

    class Wrong(RoutedMoe):
        def forward(self, hidden_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            x = hidden_states.reshape(-1, hidden_states.shape[-1])
            logits = torch.nn.functional.linear(x.float(), self.router.weight)
            scores, indices = choose_experts(logits, 1)
            return self.shared_expert(x) + self._run_grouped(x, indices[:, 0]) * scores, logits

    theirs = tiny_llama4()
    ours = copy.deepcopy(theirs)
    for layer in ours.model.layers:
        layer.feed_forward = Wrong(layer.feed_forward)
    ids = torch.arange(3, 43).unsqueeze(0)
    assert (_logits(ours, ids, []) - _logits(theirs, ids, [])).abs().max() > 100 * TOLERANCE


def test_each_expert_sees_only_its_tokens(tiny_llama4: Callable[..., PreTrainedModel]) -> None:
    model = tiny_llama4(num_local_experts=16, num_experts_per_tok=2)
    route_experts(model)
    block = model.model.layers[0].feed_forward
    seen: dict[int, int] = {}
    run = block._run_expert
    block._run_expert = lambda expert, x: (
        seen.update({expert: seen.get(expert, 0) + len(x)}) or run(expert, x)
    )
    x = torch.randn(37, 64, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        _, logits = block(x)
        chosen = torch.sort(logits, dim=1, descending=True, stable=True).indices[:, :2]
        expected = torch.bincount(chosen.flatten(), minlength=16)
        assert seen == {e: n for e, n in enumerate(expected.tolist()) if n}
        assert sum(seen.values()) == 37 * 2
        seen.clear()
        block(x[:1])
    assert len(seen) == 2
    assert set(seen.values()) == {1}


@pytest.mark.parametrize("tokens", [1, 33])
def test_ties_go_to_the_lowest_index(
    tiny_llama4: Callable[..., PreTrainedModel], tokens: int
) -> None:
    model = tiny_llama4(num_local_experts=16)
    route_experts(model)
    block = model.model.layers[0].feed_forward
    with torch.inference_mode():
        block.router.weight[9:] = block.router.weight[3]
        block.router.weight[:3] = -100 * block.router.weight[3]
        block.router.weight[4:9] = -100 * block.router.weight[3]
        x = block.router.weight[3].expand(tokens, -1) + 0.01 * torch.randn(tokens, 64)
        _, logits = block(x)
        assert bool((logits[:, 3] == logits[:, 15]).all())
        asked: list[int] = []
        run = block._run_expert
        block._run_expert = lambda expert, part: asked.append(expert) or run(expert, part)
        block(x)
    assert asked == [3]


@given(st.lists(st.lists(st.integers(-2, 2), min_size=8, max_size=8), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_choice_is_that_of_a_plain_sort(rows: list[list[int]]) -> None:
    scores, indices = choose_experts(torch.tensor(rows, dtype=torch.float32), 3)
    for row, chosen, score in zip(rows, indices.tolist(), scores, strict=True):
        assert chosen == sorted(range(8), key=lambda e: (-row[e], e))[:3]
        assert torch.equal(score, torch.sigmoid(torch.tensor([float(row[e]) for e in chosen])))


def test_bf16_stays_bf16_and_near_fp32(tiny_llama4: Callable[..., PreTrainedModel]) -> None:
    exact = tiny_llama4(num_local_experts=4)
    route_experts(exact)
    rounded = copy.deepcopy(exact).to(torch.bfloat16)
    block, rounded_block = (m.model.layers[0].feed_forward for m in (exact, rounded))
    x = torch.randn(50, 64, generator=torch.Generator().manual_seed(3)).to(torch.bfloat16)
    with torch.inference_mode():
        # The same rounded weights in fp32, so that only the arithmetic differs.
        block.load_state_dict({k: v.float() for k, v in rounded_block.state_dict().items()})
        expected, expected_logits = block(x.float())
        out, logits = rounded_block(x)
    assert out.dtype is torch.bfloat16
    assert torch.equal(logits, expected_logits)
    assert (out.float() - expected).norm() <= 0.02 * expected.norm()


def test_no_token_gives_no_output(tiny_llama4: Callable[..., PreTrainedModel]) -> None:
    model = tiny_llama4()
    route_experts(model)
    with torch.inference_mode():
        out, logits = model.model.layers[0].feed_forward(torch.empty(0, 64))
    assert out.shape == (0, 64)
    assert logits.shape == (0, 4)


def test_state_dict_keys_are_unchanged(tiny_llama4: Callable[..., PreTrainedModel]) -> None:
    model = tiny_llama4()
    before = set(model.state_dict())
    route_experts(model)
    assert set(model.state_dict()) == before
    assert route_experts(model) == 0
