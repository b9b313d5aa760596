"""Routing and sorting on the device: ties, NaN, counts, and a stable order in whole blocks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentkit.model.kernels import routed_forward
from agentkit.model.kernels.gpu.launch import _empty_counts, _slots, _sort, choose_tiles
from agentkit.model.kernels.gpu.routing import count_slots
from agentkit.model.kernels.reference import choose_experts, reference_experts

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkit.model.kernels import PackedExperts
    from agentkit.model.kernels.gpu import GpuExperts, GpuShape

    MakeLayer = Callable[..., tuple[GpuExperts, PackedExperts]]

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy on overflow and NaN
EXAMPLES = 200 if os.environ.get("AGENTKIT_TEST_ALL") == "1" else 10


def sort_rows(
    ids: torch.Tensor, shape: GpuShape, block_e: int
) -> tuple[torch.Tensor, list[int], int]:
    """The rows in their places, where each expert ends, and the rows of a block."""
    tiles = choose_tiles(ids.numel(), shape, wide=True)
    counts = _empty_counts(ids, shape)
    count_slots[(len(counts),)](ids, counts, len(ids), **_slots(shape), BLOCK_E=block_e)
    order = _sort(ids, counts, shape, tiles)
    return order.rows.cpu(), order.ends.tolist(), tiles.rows


def expected_rows(ids: torch.Tensor, shape: GpuShape) -> list[list[int]]:
    """The numbers of each expert's rows, in order."""
    slots = shape.top_k + int(shape.shared)
    rows: list[list[int]] = [[] for _ in range(shape.matrices)]
    for token, chosen in enumerate(ids.tolist()):
        for slot, expert in enumerate(chosen):
            if 0 <= expert < shape.experts:
                rows[expert].append(token * slots + slot)
        if shape.shared:
            rows[-1].append(token * slots + shape.top_k)
    return rows


def check_order(ids: torch.Tensor, shape: GpuShape, device: str, block_e: int) -> None:
    rows, ends, block = sort_rows(ids.to(device), shape, block_e)
    start = 0
    for expert, wanted in enumerate(expected_rows(ids, shape)):
        filled = -(-len(wanted) // block) * block
        assert ends[expert] == start + filled
        found = rows[start : ends[expert]].tolist()
        assert found == wanted + [-1] * (filled - len(wanted))
        start = ends[expert]
    assert (rows[start:] == -1).all()


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    experts=st.integers(1, 9),
    top_k=st.integers(1, 4),
    shared=st.booleans(),
    tokens=st.integers(1, 40),
    seed=st.integers(0, 10_000),
)
def test_rows_are_sorted_by_expert_stably_and_in_whole_blocks(  # noqa: PLR0917 - hypothesis passes by name
    make_layer: MakeLayer,
    device: str,
    experts: int,
    top_k: int,
    shared: bool,
    tokens: int,
    seed: int,
) -> None:
    top_k = min(top_k, experts)
    packed, _ = make_layer(hidden=1, intermediate=1, experts=experts, top_k=top_k, shared=shared)
    generator = torch.Generator().manual_seed(seed)
    low, high = (-1, experts + 2) if seed % 2 else (0, experts)
    ids = torch.randint(low, high, (tokens, top_k), generator=generator)
    check_order(ids, packed.shape, device, 16)


def test_counts_of_many_blocks_are_added_over_several_steps(
    make_layer: MakeLayer, device: str
) -> None:
    packed, _ = make_layer(hidden=1, intermediate=1, experts=300, shared=True)
    # 512 experts (rounded up) leave room for 8 blocks of 8 tokens in one step.
    ids = torch.randint(0, 300, (150, 1), generator=torch.Generator().manual_seed(5))
    check_order(ids, packed.shape, device, 512)


@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_a_tie_goes_to_the_lowest_expert(make_layer: MakeLayer, device: str, top_k: int) -> None:
    packed, oracle = make_layer(hidden=130, experts=9, top_k=top_k)
    assert packed.router is not None
    packed.router[:] = packed.router[0].clone()
    x = torch.randn(10, 130)
    out, logits = routed_forward(x.to(device), packed)
    logits = logits.cpu()
    assert torch.equal(logits, logits[:, :1].expand_as(logits))
    lowest = torch.arange(top_k).expand(10, top_k)
    wanted = reference_experts(x, lowest, torch.sigmoid(logits[:, :top_k]), oracle)
    torch.testing.assert_close(out.cpu(), wanted, atol=1e-5, rtol=1e-4)


def test_partial_ties_and_nan_are_decided_as_by_the_reference(
    make_layer: MakeLayer, device: str
) -> None:
    packed, oracle = make_layer(hidden=8, experts=4, top_k=2)
    assert packed.router is not None
    # With these rows a token's logits are its own first four numbers.
    packed.router[:] = torch.eye(4, 8)
    nan, inf = float("nan"), float("inf")
    first = torch.tensor(
        [[1.0, 3.0, 3.0, 3.0], [2.0, 2.0, 1.0, 5.0], [0.0, 0.0, 0.0, 0.0], [-1.0, -inf, -2.0, -inf]]
    )
    x = torch.cat([first, torch.randn(4, 4)], dim=1).nan_to_num(neginf=-1e38)
    out, logits = routed_forward(x.to(device), packed)
    assert torch.equal(logits.cpu(), x[:, :4])
    ids, scores = choose_experts(x[:, :4], 2)
    assert ids.tolist() == [[1, 2], [3, 0], [0, 1], [0, 2]]
    wanted = reference_experts(x[:3], ids[:3], scores[:3], oracle)
    torch.testing.assert_close(out[:3].cpu(), wanted, atol=1e-5, rtol=1e-4)
    # NaN loses against every number: with one NaN weight its expert is chosen by no token.
    packed.router[0] = nan
    _, logits = routed_forward(x.to(device), packed)
    out, _ = routed_forward(x[:3].to(device), packed)
    assert logits[:, 0].isnan().all()
    assert out.isfinite().all()
