"""Llama 4 on the compiled kernel: transformers' logits, in every cache mode."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch
from transformers import DynamicCache

from agentkit.model.kernels import Weights
from agentkit.model.kernels.dispatch import library
from agentkit.model.local.fused import FusedMoe, fuse_experts
from agentkit.model.local.routing import route_experts

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedModel

IDS = torch.randint(3, 500, (1, 60), generator=torch.Generator().manual_seed(1))


pytestmark = pytest.mark.usefixtures("built_kernels")


def _logits(model: PreTrainedModel, pieces: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        if not pieces:
            return model(IDS, use_cache=False).logits[0]
        cache = DynamicCache(config=model.config)
        parts = IDS.split(pieces, dim=1)
        return torch.cat([model(part, past_key_values=cache).logits[0] for part in parts])


@pytest.mark.parametrize("top_k", [1, 2])
@pytest.mark.parametrize("experts", [2, 16])
def test_fp32_logits_equal_transformers(
    tiny_llama4: Callable[..., PreTrainedModel], *, top_k: int, experts: int
) -> None:
    theirs = tiny_llama4(num_local_experts=experts, num_experts_per_tok=top_k)
    ours = copy.deepcopy(theirs)
    route_experts(ours)
    assert fuse_experts(ours) == 4
    expected = _logits(theirs, [])
    for pieces in ([], [12] * 5, [20, *[1] * 40]):
        assert (_logits(ours, pieces) - expected).abs().max() <= 1e-4


@pytest.mark.parametrize(
    ("weights", "bound"), [(None, 0.03), (Weights.INT8, 0.03), (Weights.INT4, 0.4)]
)
def test_low_precision_stays_close_to_fp32(
    tiny_llama4: Callable[..., PreTrainedModel], weights: Weights | None, bound: float
) -> None:
    # One expert: rounding in one layer cannot send a token of the next another way.
    exact = tiny_llama4(num_local_experts=1)
    ours = copy.deepcopy(exact)
    if weights is None:
        # Both sides in bfloat16 outside the experts; the experts' arithmetic is compared.
        ours = ours.to(torch.bfloat16)
        exact = copy.deepcopy(ours)
        route_experts(exact)
    route_experts(ours)
    assert fuse_experts(ours, weights=weights) == 4
    expected, found = _logits(exact, []).float(), _logits(ours, []).float()
    assert (found - expected).norm() <= bound * expected.norm()


def test_the_old_weights_are_let_go(tiny_llama4: Callable[..., PreTrainedModel]) -> None:
    model = tiny_llama4()
    route_experts(model)
    fuse_experts(model)
    block = model.model.layers[0].feed_forward
    assert isinstance(block, FusedMoe)
    assert not list(block.parameters())
    assert fuse_experts(model) == 0


def test_without_the_kernel_the_routed_block_stays(
    tiny_llama4: Callable[..., PreTrainedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTKIT_KERNELS", "off")
    library.cache_clear()
    try:
        model = tiny_llama4()
        route_experts(model)
        assert fuse_experts(model) == 0
    finally:
        monkeypatch.delenv("AGENTKIT_KERNELS")
        library.cache_clear()
