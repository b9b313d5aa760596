"""How many rows an expert gets decides how they are multiplied: every way has the same result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from agentkit.model.kernels import (
    MoeShape,
    Weighting,
    Weights,
    experts_forward,
    pack_experts,
    routed_forward,
)
from agentkit.model.kernels.reference import reference_experts
from tests.model.kernels.errors import relative_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkit.model.kernels import PackedExperts
    from agentkit.model.kernels.dispatch import KernelLibrary

FORMATS = [
    (Weights.FLOAT32, 0),
    (Weights.BFLOAT16, 0),
    (Weights.INT8, 32),
    (Weights.INT8, 128),
    (Weights.INT4, 32),
    (Weights.INT4, 64),
]
# Around every border: of vectors and tiles, of half and whole squares of tiles, of byte planes.
ROWS = [1, 2, 3, 4, 5, 6, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 127, 128, 129, 300]
TOLERANCE = {Weights.FLOAT32: 1e-5}


@pytest.mark.parametrize(("weights", "group"), FORMATS)
def test_any_number_of_rows_of_one_expert_equals_the_reference(
    kernel: KernelLibrary,
    make_layer: Callable[..., PackedExperts],
    weights: Weights,
    group: int,
) -> None:
    packed = make_layer(weights=weights, group=group, shared=False, weighting=Weighting.OUTPUT)
    x = torch.randn(max(ROWS), 160, generator=torch.Generator().manual_seed(2))
    ids, scores = torch.full((len(x), 1), 3), torch.rand(len(x), 1)
    wanted = reference_experts(x, ids, scores, packed)
    for rows in ROWS:
        out = experts_forward(x[:rows], ids[:rows], scores[:rows], packed)
        assert relative_error(out, wanted[:rows]) < TOLERANCE.get(weights, 6e-3)


@pytest.mark.parametrize("weights", list(Weights))
def test_a_large_shared_expert_among_many_small_ones_is_the_same_for_any_number_of_threads(
    kernel: KernelLibrary, make_layer: Callable[..., PackedExperts], weights: Weights
) -> None:
    packed = make_layer(experts=24, top_k=2, weights=weights)
    x = torch.randn(1300, 160, generator=torch.Generator().manual_seed(3))
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        results.append(routed_forward(x, packed))
    for out, logits in results[1:]:
        assert torch.equal(out, results[0][0])
        assert torch.equal(logits, results[0][1])
    ids = torch.topk(results[0][1], 2, dim=-1).indices
    scores = torch.sigmoid(results[0][1].gather(1, ids))
    wanted = reference_experts(x, ids, scores, packed)
    assert relative_error(results[0][0], wanted) < TOLERANCE.get(weights, 6e-3)


def test_fp32_keeps_the_precision_of_fp32_on_every_instruction_set(
    kernel: KernelLibrary, make_layer: Callable[..., PackedExperts]
) -> None:
    packed = make_layer(shared=False, experts=1, weighting=Weighting.OUTPUT)
    spread = torch.logspace(-3, 3, 160)
    x = torch.randn(40, 160, generator=torch.Generator().manual_seed(4)) * spread
    ids, scores = torch.zeros(40, 1, dtype=torch.int64), torch.ones(40, 1)
    exact = reference_experts(x, ids, scores, packed)
    for level in ("amx", "avx512", "avx2", "portable"):
        if not kernel.use_level(level):
            continue
        for rows in (1, 8, 40):
            out = experts_forward(x[:rows], ids[:rows], scores[:rows], packed)
            assert relative_error(out, exact[:rows]) < 1e-6


def test_int8_errs_by_less_than_a_hundredth_of_the_unquantised_layer(kernel: KernelLibrary) -> None:
    generator = torch.Generator().manual_seed(5)
    gate, up = (torch.randn(512, 1024, generator=generator) * 0.03 for _ in range(2))
    down = torch.randn(1024, 512, generator=generator) * 0.03
    packed = pack_experts(MoeShape(512, 1024, 1, 1, Weights.INT8, 32), [(gate, up, down)])
    x = torch.randn(8, 512, generator=generator)
    ones = torch.ones(8, 1)
    out = experts_forward(x, torch.zeros(8, 1, dtype=torch.int64), ones, packed)
    exact = (torch.nn.functional.silu(x @ gate) * (x @ up)) @ down
    assert relative_error(out, exact) < 1e-2
