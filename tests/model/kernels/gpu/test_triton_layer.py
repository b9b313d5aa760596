"""The Triton kernels against the torch reference: formats, sizes, routing, gates, limits."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentkit.errors import ModelError
from agentkit.model.kernels import Weighting, experts_forward, routed_forward
from agentkit.model.kernels.gpu import GpuExperts, GpuWeights
from agentkit.model.kernels.gpu.launch import choose_tiles
from agentkit.model.kernels.ops import _flatten
from agentkit.model.kernels.reference import reference_experts, reference_routed

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkit.model.kernels import PackedExperts

    MakeLayer = Callable[..., tuple[GpuExperts, PackedExperts]]

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy on overflow and NaN
EXAMPLES = 150 if os.environ.get("AGENTKIT_TEST_ALL") == "1" else 6
FORMATS = [
    (GpuWeights.FLOAT32, 0),
    (GpuWeights.BFLOAT16, 0),
    (GpuWeights.FLOAT16, 0),
    *((weights, group) for weights in GpuWeights if weights.quantised for group in (32, 64, 128)),
]
# Products and sums are fp32; what is rounded is the activation. Triton's interpreter cuts bf16 off
# where a GPU rounds it, which doubles its error.
TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 1.2e-2, torch.float16: 1e-3}


def error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    found = found.cpu().float()
    return float((found - wanted).norm() / wanted.norm().clamp_min(1e-20))


def draw_routing(tokens: int, experts: int, top_k: int) -> tuple[torch.Tensor, torch.Tensor]:
    scores = torch.rand(tokens, experts, generator=torch.Generator().manual_seed(tokens))
    top = torch.topk(scores, top_k, dim=-1)
    return top.indices, top.values


def check_experts(
    layer: tuple[GpuExperts, PackedExperts],
    x: torch.Tensor,
    ids: torch.Tensor,
    scores: torch.Tensor,
) -> torch.Tensor:
    packed, oracle = layer
    device = packed.gate_up.device
    out = experts_forward(x.to(device), ids.to(device), scores.to(device), packed)
    assert out.shape == x.shape
    assert out.dtype == x.dtype
    wanted = reference_experts(x.float(), ids, scores, oracle)
    assert error(out, wanted) <= TOLERANCE[x.dtype]
    return out.cpu()


@pytest.mark.parametrize(("weights", "group"), FORMATS)
def test_every_format_equals_the_reference(
    make_layer: MakeLayer, device: str, weights: GpuWeights, group: int
) -> None:
    packed, oracle = make_layer(hidden=72, intermediate=40, weights=weights, group=group)
    x = torch.randn(5, 72)
    out, logits = routed_forward(x.to(device), packed)
    wanted, wanted_logits = reference_routed(x, oracle)
    torch.testing.assert_close(logits.cpu(), wanted_logits, atol=1e-5, rtol=1e-5)
    assert error(out, wanted) <= TOLERANCE[torch.float32]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "weights", [GpuWeights.BFLOAT16, GpuWeights.FLOAT16, GpuWeights.INT8, GpuWeights.FLOAT8]
)
def test_half_precision_activations(
    make_layer: MakeLayer, weights: GpuWeights, dtype: torch.dtype
) -> None:
    layer = make_layer(weights=weights, top_k=2, weighting=Weighting.OUTPUT, shared=False)
    check_experts(layer, torch.randn(6, 40).to(dtype), *draw_routing(6, 5, 2))


@pytest.mark.parametrize("tokens", [0, 1, 17])
def test_any_number_of_tokens(make_layer: MakeLayer, device: str, tokens: int) -> None:
    packed, oracle = make_layer()
    x = torch.randn(tokens, 40)
    out, logits = routed_forward(x.to(device), packed)
    wanted, wanted_logits = reference_routed(x, oracle)
    assert out.shape == (tokens, 40)
    torch.testing.assert_close(logits.cpu(), wanted_logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(out.cpu(), wanted, atol=1e-5, rtol=1e-5)
    ids, scores = draw_routing(tokens, 5, 1)
    assert check_experts((packed, oracle), x, ids, scores).shape == (tokens, 40)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    sizes=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    experts=st.integers(1, 6),
    top_k=st.integers(1, 4),
    tokens=st.integers(0, 24),
    weights=st.sampled_from(GpuWeights),
    options=st.fixed_dictionaries(
        {
            "group": st.sampled_from([32, 64, 128]),
            "shared": st.booleans(),
            "weighting": st.sampled_from(Weighting),
            "clamped": st.booleans(),
            "biased": st.booleans(),
            "seed": st.integers(0, 1000),
        }
    ),
)
def test_any_layer_and_any_routing_equal_the_reference(  # noqa: PLR0917 - hypothesis passes by name
    make_layer: MakeLayer,
    sizes: tuple[int, int],
    experts: int,
    top_k: int,
    tokens: int,
    weights: GpuWeights,
    options: dict[str, object],
) -> None:
    top_k = min(top_k, experts)
    layer = make_layer(
        hidden=sizes[0],
        intermediate=sizes[1],
        experts=experts,
        top_k=top_k,
        weights=weights,
        **options,
    )
    generator = torch.Generator().manual_seed(int(options["seed"]))  # type: ignore[call-overload]  # an int above
    x = torch.randn(tokens, sizes[0], generator=generator)
    # Ids of no expert are among them, and one expert may be named twice.
    ids = torch.randint(-1, experts + 1, (tokens, top_k), generator=generator)
    packed, oracle = layer
    scores = torch.rand(tokens, top_k, generator=generator)
    device = packed.gate_up.device
    out = experts_forward(x.to(device), ids.to(device), scores.to(device), packed).cpu()
    wanted = reference_experts(x, ids, scores, oracle)
    torch.testing.assert_close(out, wanted, atol=2e-5, rtol=2e-4)


@pytest.mark.parametrize("weighting", list(Weighting))
def test_all_tokens_on_one_expert_and_all_others_empty(
    make_layer: MakeLayer, weighting: Weighting
) -> None:
    layer = make_layer(weighting=weighting, shared=False)
    ids = torch.full((40, 1), 3)
    check_experts(layer, torch.randn(40, 40), ids, torch.rand(40, 1))


def test_more_tokens_take_larger_blocks_and_the_same_values(make_layer: MakeLayer) -> None:
    layer = make_layer(hidden=16, intermediate=16, experts=2, shared=False)
    shape = layer[0].shape
    blocks = {tokens: choose_tiles(tokens, shape, wide=True).rows for tokens in (3, 50, 110, 300)}
    assert list(blocks.values()) == [16, 32, 64, 128]
    for tokens in blocks:
        x = torch.randn(tokens, 16)
        check_experts(layer, x, *draw_routing(tokens, 2, 1))


def test_ids_outside_the_experts_take_no_part(make_layer: MakeLayer) -> None:
    layer = make_layer(top_k=2, shared=False, weighting=Weighting.OUTPUT)
    ids = torch.tensor([[0, 5], [-1, 2], [7, -3], [1, 1], [2**32, 2**40 + 1]])
    out = check_experts(layer, torch.randn(5, 40), ids, torch.rand(5, 2))
    assert torch.equal(out[[2, 4]], torch.zeros(2, 40))


@pytest.mark.parametrize("clamped", [False, True])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_and_infinity_stay_in_their_row_and_are_not_lost(
    make_layer: MakeLayer, device: str, bad: float, *, clamped: bool
) -> None:
    packed, _ = make_layer(clamped=clamped)
    x = torch.randn(3, 40)
    clean, _ = routed_forward(x.to(device), packed)
    x[1, 33] = bad
    out, _ = routed_forward(x.to(device), packed)
    torch.testing.assert_close(out[[0, 2]], clean[[0, 2]], atol=1e-6, rtol=1e-5)
    assert not out[1].isfinite().all()


@pytest.mark.parametrize("clamped", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_gates_with_and_without_biases(
    make_layer: MakeLayer, *, clamped: bool, biased: bool
) -> None:
    layer = make_layer(
        top_k=2, shared=False, weighting=Weighting.OUTPUT, clamped=clamped, biased=biased
    )
    # Large inputs, so that the clamp at 0.8 is met on both sides.
    check_experts(layer, 3 * torch.randn(7, 40), *draw_routing(7, 5, 2))


def test_the_input_is_weighted_and_not_the_output(make_layer: MakeLayer, device: str) -> None:
    (at_input, _), (at_output, _) = (
        make_layer(shared=False, weighting=weighting) for weighting in Weighting
    )
    x = torch.randn(3, 40, device=device)
    ids = torch.zeros(3, 1, dtype=torch.int64, device=device)
    half, one = torch.full((3, 1), 0.5, device=device), torch.ones(3, 1, device=device)
    scaled = experts_forward(x * 0.5, ids, one, at_input)
    torch.testing.assert_close(experts_forward(x, ids, half, at_input), scaled)
    full = experts_forward(x, ids, one, at_output)
    torch.testing.assert_close(experts_forward(x, ids, half, at_output), full / 2)
    assert error(scaled, (full / 2).cpu()) > 0.1


def test_the_same_call_gives_the_same_bits(make_layer: MakeLayer, device: str) -> None:
    packed, _ = make_layer(top_k=3, weights=GpuWeights.INT8)
    x = torch.randn(11, 40, device=device)
    first, second = (routed_forward(x, packed) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_the_operators_take_the_gpus_layout(make_layer: MakeLayer, device: str) -> None:
    packed, _ = make_layer(top_k=2, biased=True, weights=GpuWeights.FLOAT8)
    x = torch.randn(3, 40, device=device)
    out, logits = torch.ops.agentkit.moe_routed(x, *_flatten(packed))
    direct, direct_logits = routed_forward(x, packed)
    assert torch.equal(out, direct)
    assert torch.equal(logits, direct_logits)
    ids, scores = (part.to(device) for part in draw_routing(3, 5, 2))
    out = torch.ops.agentkit.moe_experts(x, ids, scores, *_flatten(packed))
    assert torch.equal(out, experts_forward(x, ids, scores, packed))


def test_what_does_not_fit_is_refused_before_memory_is_read(
    make_layer: MakeLayer, device: str
) -> None:
    packed, _ = make_layer(top_k=2)
    x = torch.randn(3, 40, device=device)
    ids, scores = (part.to(device) for part in draw_routing(3, 5, 2))
    with pytest.raises(ModelError, match=r"x is \[3, 41\]"):
        routed_forward(torch.randn(3, 41, device=device), packed)
    with pytest.raises(ModelError, match=r"ids is \[2, 2\]"):
        experts_forward(x, ids[:2], scores, packed)
    with pytest.raises(ModelError, match=r"scores is \[3, 1\]"):
        experts_forward(x, ids, scores[:, :1], packed)
    with pytest.raises(ModelError, match="x is on meta"):
        routed_forward(x.to("meta"), packed)
    with pytest.raises(ModelError, match=r"activations in torch\.float64"):
        routed_forward(x.double(), packed)
    object.__setattr__(packed, "router", None)
    with pytest.raises(ModelError, match="no router"):
        routed_forward(x, packed)
