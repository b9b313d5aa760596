"""Linear layers on the compiled kernel: torch's products, in every format and for any rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from agentkit.errors import ModelError
from agentkit.model.kernels import Weights
from agentkit.model.kernels.decode import run_linear
from agentkit.model.kernels.packing import unpack_columns
from agentkit.model.local.linears import (
    PackedEmbedding,
    PackedLinear,
    linear_shape,
    pack_linear,
    pack_module,
)

if TYPE_CHECKING:
    from agentkit.model.kernels.dispatch import KernelLibrary

LEVELS = ("amx", "avx512_bf16", "avx512", "avx2", "portable")
TOLERANCE = {Weights.FLOAT32: 1e-5, Weights.BFLOAT16: 5e-3, Weights.INT8: 5e-3, Weights.INT4: 5e-3}


def _packed(
    inputs: int, outputs: int, weights: Weights, *, bias: bool, group: int = 32
) -> tuple[PackedLinear, torch.Tensor]:
    """Return a layer and the very weights it has, [inputs, outputs]."""
    generator = torch.Generator().manual_seed(inputs)
    weight = torch.randn(outputs, inputs, generator=generator) / inputs**0.5
    shape = linear_shape(inputs, outputs, weights, group)
    words, scales = pack_linear(weight, shape)
    added = torch.randn(outputs, generator=generator) if bias else None
    exact = unpack_columns(words, scales, shape)[:inputs, :outputs]
    return PackedLinear(shape, words, scales, added), exact


@pytest.mark.parametrize("weights", Weights)
@pytest.mark.parametrize("level", LEVELS)
def test_products_are_torchs(kernel: KernelLibrary, weights: Weights, level: str) -> None:
    if not kernel.use_level(level):
        return  # not on this CPU; the kernel's own tests say so
    for inputs, outputs, group in ((160, 200, 32), (72, 501, 128)):
        layer, exact = _packed(inputs, outputs, weights, bias=inputs == 72, group=group)
        for rows in (1, 2, 5, 8, 9, 17, 150):
            x = torch.randn(rows, inputs, generator=torch.Generator().manual_seed(rows))
            wanted = x @ exact + (0 if layer.bias is None else layer.bias)
            error = float((layer(x) - wanted).norm() / wanted.norm())
            assert error <= TOLERANCE[weights], (inputs, rows)


def test_bf16_activations_are_rounded_once(kernel: KernelLibrary) -> None:
    layer, exact = _packed(128, 192, Weights.BFLOAT16, bias=False)
    x = torch.randn(2, 3, 128).bfloat16()
    found = layer(x)
    assert found.dtype is torch.bfloat16
    assert found.shape == (2, 3, 192)
    wanted = x.float() @ exact
    assert (found.float() - wanted).abs().max() <= wanted.abs().max() * 2**-8


def test_no_number_of_threads_changes_a_bit(kernel: KernelLibrary) -> None:
    layer, _ = _packed(160, 500, Weights.INT8, bias=True)
    x = torch.randn(3, 160)
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(layer(x))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packing_a_module_in_its_own_format_changes_no_weight(dtype: torch.dtype) -> None:
    linear = torch.nn.Linear(100, 4500, bias=False, dtype=dtype)
    packed = pack_module(linear)
    exact = unpack_columns(packed.words, None, packed.shape)[:100, :4500]
    assert torch.equal(exact, linear.weight.detach().float().T)
    rows = torch.tensor([[0, 63], [64, 4499]])
    assert torch.equal(PackedEmbedding(packed)(rows), linear.weight.detach()[rows])


def test_rows_of_another_size_are_refused(kernel: KernelLibrary) -> None:
    layer, _ = _packed(64, 64, Weights.FLOAT32, bias=False)
    with pytest.raises(ModelError, match="wants"):
        run_linear(kernel, layer.native, torch.zeros(2, 63))


def test_without_the_kernel_torch_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentkit.model.local.linears.library", lambda: None)
    for weights in Weights:
        layer, exact = _packed(160, 700, weights, bias=True)
        x = torch.randn(4, 160)
        assert layer.bias is not None
        assert torch.allclose(layer(x), x @ exact + layer.bias, atol=1e-4)
