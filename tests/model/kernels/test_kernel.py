"""The compiled kernel against the torch reference: formats, sizes, instruction sets, threads."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
import torch

from agentkit.errors import ModelError
from agentkit.model.kernels import (
    Gate,
    MoeShape,
    Weighting,
    Weights,
    experts_forward,
    pack_experts,
    routed_forward,
)
from agentkit.model.kernels.reference import choose_experts, reference_experts, reference_routed
from tests.model.kernels.errors import relative_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkit.model.kernels import PackedExperts
    from agentkit.model.kernels.dispatch import KernelLibrary

FORMATS = [
    (Weights.FLOAT32, 0),
    (Weights.BFLOAT16, 0),
    (Weights.INT8, 32),
    (Weights.INT8, 64),
    (Weights.INT8, 128),
    (Weights.INT4, 32),
    (Weights.INT4, 64),
    (Weights.INT4, 128),
]
TOKENS = [0, 1, 2, 7, 8, 63, 64, 65, 512]
# A NaN whose payload is all ones, as memory filled with 0xff holds them.
FULL_NAN = struct.unpack("<f", b"\xff\xff\xff\x7f")[0]
LEVELS = ["amx", "avx512_bf16", "avx512", "avx2", "portable"]
# fp32 arithmetic against fp32 arithmetic; bf16 dot products round both factors to 8 bits.
TOLERANCE = {
    Weights.FLOAT32: 1e-5,
    Weights.BFLOAT16: 6e-3,
    Weights.INT8: 6e-3,
    Weights.INT4: 6e-3,
}


def draw_routing(tokens: int, experts: int, top_k: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(tokens)
    scores = torch.rand(tokens, experts, generator=generator)
    top = torch.topk(scores, top_k, dim=-1)
    return top.indices, top.values


@pytest.mark.parametrize(("weights", "group"), FORMATS)
def test_every_format_equals_the_reference_for_any_number_of_tokens(
    kernel: KernelLibrary,
    make_layer: Callable[..., PackedExperts],
    weights: Weights,
    group: int,
) -> None:
    packed = make_layer(weights=weights, group=group)
    for tokens in TOKENS:
        x = torch.randn(tokens, 160, generator=torch.Generator().manual_seed(tokens))
        out, logits = routed_forward(x, packed)
        wanted, wanted_logits = reference_routed(x, packed)
        assert out.shape == x.shape
        assert out.dtype == x.dtype
        torch.testing.assert_close(logits, wanted_logits, atol=1e-5, rtol=1e-5)
        if tokens:
            assert relative_error(out, wanted) < TOLERANCE[weights]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("weights", "group"), FORMATS)
def test_every_instruction_set_this_cpu_has_equals_the_reference(
    kernel: KernelLibrary,
    make_layer: Callable[..., PackedExperts],
    level: str,
    weights: Weights,
    group: int,
) -> None:
    if not kernel.use_level(level):
        assert kernel.level == kernel.best_level
        return
    assert kernel.level == level
    packed = make_layer(
        weights=weights, group=group, top_k=3, shared=False, weighting=Weighting.OUTPUT
    )
    for tokens in (1, 5, 40, 90):
        for dtype in (torch.float32, torch.bfloat16):
            x = torch.randn(tokens, 160).to(dtype)
            ids, scores = draw_routing(tokens, 5, 3)
            out = experts_forward(x, ids, scores, packed)
            wanted = reference_experts(x.float(), ids, scores, packed)
            rounding = 0.0 if dtype is torch.float32 else 3e-3
            assert relative_error(out, wanted) < TOLERANCE[weights] + rounding


@pytest.mark.parametrize("weights", list(Weights))
@pytest.mark.parametrize("sizes", [(1, 1), (33, 17), (64, 64), (100, 300), (576, 768)])
def test_any_hidden_and_intermediate_size_runs(
    kernel: KernelLibrary,
    make_layer: Callable[..., PackedExperts],
    weights: Weights,
    sizes: tuple[int, int],
) -> None:
    hidden, intermediate = sizes
    packed = make_layer(hidden=hidden, intermediate=intermediate, weights=weights)
    x = torch.randn(19, hidden)
    out, _ = routed_forward(x, packed)
    wanted, _ = reference_routed(x, packed)
    assert relative_error(out, wanted) < 2 * TOLERANCE[weights]


def test_long_inputs_are_run_in_several_passes(
    kernel: KernelLibrary, make_layer: Callable[..., PackedExperts]
) -> None:
    packed = make_layer(hidden=64, intermediate=64)
    x = torch.randn(9000, 64)
    out, logits = routed_forward(x, packed)
    wanted, wanted_logits = reference_routed(x, packed)
    torch.testing.assert_close(out, wanted, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(logits, wanted_logits, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("weights", list(Weights))
def test_results_are_the_same_to_the_bit_on_repeat_and_for_any_number_of_threads(
    kernel: KernelLibrary, make_layer: Callable[..., PackedExperts], weights: Weights
) -> None:
    packed = make_layer(weights=weights)
    for tokens in (1, 6, 70):
        x = torch.randn(tokens, 160)
        results = []
        for threads in (1, 2, 2, 3, 5):
            torch.set_num_threads(threads)
            results.append(routed_forward(x, packed))
        for out, logits in results[1:]:
            assert torch.equal(out, results[0][0])
            assert torch.equal(logits, results[0][1])


def test_a_tie_goes_to_the_lowest_expert(
    kernel: KernelLibrary, make_layer: Callable[..., PackedExperts]
) -> None:
    packed = make_layer(experts=9, top_k=2)
    router = packed.router
    assert router is not None
    router[:] = router[0].clone()
    x = torch.randn(33, 160)
    out, logits = routed_forward(x, packed)
    assert torch.equal(logits, logits[:, :1].expand_as(logits))
    scores = torch.sigmoid(logits[:, :2])
    lowest = torch.tensor([0, 1]).expand(33, 2)
    torch.testing.assert_close(out, reference_experts(x, lowest, scores, packed))


def test_all_tokens_on_one_expert_and_all_others_empty(
    kernel: KernelLibrary, make_layer: Callable[..., PackedExperts]
) -> None:
    for weights in Weights:
        packed = make_layer(weights=weights, shared=False, weighting=Weighting.OUTPUT)
        x = torch.randn(130, 160)
        ids = torch.full((130, 1), 3)
        scores = torch.rand(130, 1)
        out = experts_forward(x, ids, scores, packed)
        assert relative_error(out, reference_experts(x, ids, scores, packed)) < TOLERANCE[weights]


def test_ids_outside_the_experts_take_no_part(
    kernel: KernelLibrary, make_layer: Callable[..., PackedExperts]
) -> None:
    packed = make_layer(top_k=2, shared=False, weighting=Weighting.OUTPUT)
    x = torch.randn(4, 160)
    ids = torch.tensor([[0, 5], [-1, 2], [7, -3], [1, 1]])
    scores = torch.rand(4, 2)
    out = experts_forward(x, ids, scores, packed)
    torch.testing.assert_close(out, reference_experts(x, ids, scores, packed), atol=1e-5, rtol=1e-4)
    assert torch.equal(out[2], torch.zeros(160))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("weights", list(Weights))
@pytest.mark.parametrize("bad", [float("nan"), FULL_NAN, float("inf"), -float("inf")])
def test_nan_and_infinity_stay_in_their_row_and_are_not_lost(
    kernel: KernelLibrary,
    make_layer: Callable[..., PackedExperts],
    level: str,
    weights: Weights,
    bad: float,
) -> None:
    kernel.use_level(level)
    packed = make_layer(weights=weights)
    for tokens in (2, 40):
        x = torch.randn(tokens, 160)
        clean, _ = routed_forward(x, packed)
        x[1, 77] = bad
        out, _ = routed_forward(x, packed)
        assert not out[1].isfinite().any()
        others = torch.arange(tokens) != 1
        assert out[others].isfinite().all()
        # The bad row may change which experts the other rows share, and so their rounding only.
        assert relative_error(out[others], clean[others]) < TOLERANCE[weights]


@pytest.mark.parametrize("level", LEVELS)
def test_the_bandwidth_probe_reads_every_word_once(kernel: KernelLibrary, level: str) -> None:
    kernel.use_level(level)
    words = torch.randint(1000, (200_704,), dtype=torch.int32)  # no multiple of a thread's blocks
    assert kernel.read(words) == int(words.sum())


@pytest.mark.parametrize("weights", list(Weights))
def test_clamped_gate_with_biases(kernel: KernelLibrary, weights: Weights) -> None:
    generator = torch.Generator().manual_seed(1)
    shape = MoeShape(
        96, 80, 4, 2, weights, 32 if weights.quantised else 0,
        gate=Gate.CLAMPED_SWIGLU, gate_alpha=1.702, gate_limit=1.5,
    )  # fmt: skip

    def draw(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=generator) / 4

    packed = pack_experts(
        shape,
        [(draw(96, 80), draw(96, 80), draw(80, 96)) for _ in range(4)],
        gate_bias=draw(4, 80),
        up_bias=draw(4, 80),
        down_bias=draw(4, 96),
    )
    for tokens in (1, 30):
        x = torch.randn(tokens, 96, generator=generator)
        ids, scores = draw_routing(tokens, 4, 2)
        out = experts_forward(x, ids, scores, packed)
        assert relative_error(out, reference_experts(x, ids, scores, packed)) < TOLERANCE[weights]


def test_the_input_is_weighted_and_not_the_output(
    kernel: KernelLibrary, make_layer: Callable[..., PackedExperts]
) -> None:
    at_input = make_layer(shared=False, weighting=Weighting.INPUT)
    at_output = make_layer(shared=False, weighting=Weighting.OUTPUT)
    x = torch.randn(3, 160)
    ids, half, one = torch.zeros(3, 1, dtype=torch.int64), torch.full((3, 1), 0.5), torch.ones(3, 1)
    scaled = experts_forward(x * 0.5, ids, one, at_input)
    torch.testing.assert_close(experts_forward(x, ids, half, at_input), scaled)
    full = experts_forward(x, ids, one, at_output)
    torch.testing.assert_close(experts_forward(x, ids, half, at_output), full / 2)
    assert relative_error(scaled, full / 2) > 0.1


def test_own_threads_give_the_same_result_as_the_borrowed_ones(
    kernel: KernelLibrary, make_layer: Callable[..., PackedExperts]
) -> None:
    packed = make_layer()
    x = torch.randn(65, 160)
    borrowed, _ = kernel.run_routed(x, packed)
    kernel.use_own_team()
    try:
        for threads in (1, 2, 4, 2):
            torch.set_num_threads(threads)
            own, _ = kernel.run_routed(x, packed)
            assert torch.equal(own, borrowed)
    finally:
        kernel.borrow_torch_team()


def test_wrong_sizes_are_refused_before_memory_is_read(
    kernel: KernelLibrary, make_layer: Callable[..., PackedExperts]
) -> None:
    packed = make_layer(top_k=2)
    ids, scores = draw_routing(3, 5, 2)
    with pytest.raises(ModelError, match=r"x is \[3, 161\]"):
        routed_forward(torch.randn(3, 161), packed)
    with pytest.raises(ModelError, match=r"ids is \[2, 2\]"):
        experts_forward(torch.randn(3, 160), ids[:2], scores, packed)
    with pytest.raises(ModelError, match=r"scores is \[3, 1\]"):
        experts_forward(torch.randn(3, 160), ids, scores[:, :1], packed)


def test_the_oracle_chooses_stably_and_never_prefers_nan() -> None:
    logits = torch.tensor([[1.0, 3.0, 3.0, float("nan")], [float("nan")] * 4])
    ids, scores = choose_experts(logits, 2)
    assert ids.tolist() == [[1, 2], [0, 1]]
    assert torch.equal(scores[0], torch.sigmoid(torch.tensor([3.0, 3.0])))
    assert scores[1].isnan().all()
