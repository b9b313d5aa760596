"""Packing and unpacking: exact where the format is, within half a step where it is quantised."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.errors import ModelError
from agentkit.model.kernels import MoeShape, Weights, pack_experts, unpack_expert

SIZES = st.integers(1, 140)


@settings(max_examples=20, deadline=None)
@given(
    hidden=SIZES,
    intermediate=SIZES,
    experts=st.integers(1, 3),
    shared=st.booleans(),
    weights=st.sampled_from(list(Weights)),
    group=st.sampled_from([32, 64, 128]),
    scale=st.sampled_from([1e-6, 1.0, 1e4]),
    seed=st.integers(0, 2**31),
)
def test_unpacking_gives_back_what_was_packed(  # noqa: PLR0917 - hypothesis passes by name
    hidden: int,
    intermediate: int,
    experts: int,
    shared: bool,
    weights: Weights,
    group: int,
    scale: float,
    seed: int,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape = MoeShape(
        hidden, intermediate, experts, 1, weights, group if weights.quantised else 0, shared
    )

    def draw(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=generator) * scale

    originals = [
        (draw(hidden, intermediate), draw(hidden, intermediate), draw(intermediate, hidden))
        for _ in range(shape.matrices)
    ]
    packed = pack_experts(shape, originals)
    # The largest step of a group: 2 / 254 of its extreme for int8, 1 / 8 for int4.
    steps = {Weights.FLOAT32: 0.0, Weights.BFLOAT16: 2**-7, Weights.INT8: 1 / 125}
    for number, original in enumerate(originals):
        for found, wanted in zip(unpack_expert(packed, number), original, strict=True):
            assert found.shape == wanted.shape
            if weights is Weights.INT4:
                assert (found - wanted).norm() <= 0.2 * wanted.norm() + 1e-12
            else:
                bound = steps[weights] * wanted.abs().max() / 2
                assert (found - wanted).abs().max() <= bound * 1.02 + 1e-12


def test_an_int8_group_has_the_best_scale_of_its_own() -> None:
    shape = MoeShape(64, 64, 1, 1, Weights.INT8, 32)
    gate = torch.ones(64, 64)
    gate[32:] = 1000.0
    packed = pack_experts(shape, [(gate, gate, gate)])
    found, _, down = unpack_expert(packed, 0)
    torch.testing.assert_close(found, gate, rtol=8e-3, atol=0.0)
    torch.testing.assert_close(down, gate, rtol=8e-3, atol=0.0)


def test_zero_weights_stay_zero() -> None:
    zero = torch.zeros(32, 32)
    for weights in Weights:
        shape = MoeShape(32, 32, 1, 1, weights, 64 if weights.quantised else 0)
        for matrix in unpack_expert(pack_experts(shape, [(zero, zero, zero)]), 0):
            assert torch.equal(matrix, zero)


@pytest.mark.parametrize("weights", [Weights.INT8, Weights.INT4])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_damaged_weight_is_not_quantised_away(weights: Weights, bad: float) -> None:
    shape = MoeShape(32, 32, 1, 1, weights, 32)
    gate, up, down = (torch.randn(32, 32) for _ in range(3))
    gate[3, 5] = bad
    unpacked, *_ = unpack_expert(pack_experts(shape, [(gate, up, down)]), 0)
    assert not unpacked[3, 5].isfinite()
    assert unpacked[:, :5].isfinite().all()


@pytest.mark.parametrize("size", [(3, 32), (5, 32), (4, 40), (32, 4)])
def test_a_router_of_another_size_is_refused(size: tuple[int, int]) -> None:
    eye = torch.eye(32)
    shape = MoeShape(32, 32, 4, 1, Weights.FLOAT32)
    with pytest.raises(ModelError, match="router is"):
        pack_experts(shape, [(eye, eye, eye)] * 4, router=torch.ones(size))


def test_one_half_of_the_gates_bias_is_refused() -> None:
    eye = torch.eye(32)
    shape = MoeShape(32, 32, 2, 1, Weights.FLOAT32)
    with pytest.raises(ModelError, match="without one of up"):
        pack_experts(shape, [(eye, eye, eye)] * 2, gate_bias=torch.ones(2, 32))


def test_quantised_weights_take_the_bytes_they_should() -> None:
    full = torch.randn(256, 256)
    size = 3 * 256 * 256
    for weights, share in [
        (Weights.FLOAT32, 4.0),
        (Weights.BFLOAT16, 2.0),
        (Weights.INT8, 1 + 2 / 32),
        (Weights.INT4, 0.5 + 2 / 32),
    ]:
        shape = MoeShape(256, 256, 1, 1, weights, 32 if weights.quantised else 0)
        assert pack_experts(shape, [(full, full, full)]).nbytes == size * share


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((0, 4, 2, 1), "at least 1"),
        ((4, 4, 2, 3), "3 experts a token of only 2"),
        ((4, 4, 2, 1, Weights.INT8, 0), "group 0"),
        ((4, 4, 2, 1, Weights.INT4, 48), "group 48"),
        ((4, 4, 2, 1, Weights.BFLOAT16, 32), "group 32"),
    ],
)
def test_impossible_shapes_are_refused(arguments: tuple[int, ...], problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        MoeShape(*arguments)  # type: ignore[arg-type]  # wrong on purpose


def test_weights_that_do_not_fit_the_shape_are_refused() -> None:
    shape = MoeShape(32, 64, 2, 1)
    right = (torch.zeros(32, 64), torch.zeros(32, 64), torch.zeros(64, 32))
    wrong = (torch.zeros(64, 32), torch.zeros(32, 64), torch.zeros(64, 32))
    with pytest.raises(ModelError, match="1 experts for a layer of 2"):
        pack_experts(shape, [right])
    with pytest.raises(ModelError, match="gate of expert 1"):
        pack_experts(shape, [right, wrong])
