"""Layers for the Triton kernels, and where they are run.

Triton decides when it is imported whether its kernels are compiled or interpreted, and other parts
of the suite import it. So ``test_triton_*.py`` is collected only in a process that starts with
``TRITON_INTERPRET=1`` (``test_interpreter.py`` starts one) or on a machine with a GPU, where the
same tests run on the GPU.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import torch

from agentkit.model.kernels import Gate, MoeShape, PackedExperts, Weighting, Weights, pack_experts
from agentkit.model.kernels.gpu import GpuExperts, GpuShape, GpuWeights, pack_for_gpu

if TYPE_CHECKING:
    from collections.abc import Callable

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu"
collect_ignore_glob = [] if INTERPRETED or DEVICE == "cuda" else ["test_triton_*.py"]


def dequantise(values: torch.Tensor, scales: torch.Tensor | None, shape: GpuShape) -> torch.Tensor:
    """The weights [..., outputs, inputs] in fp32, by torch's own idea of fp8."""
    if shape.weights is GpuWeights.FLOAT8:
        values = values.view(torch.float8_e4m3fn)
    wide = values.float()
    if scales is None:
        return wide
    each = scales.float().repeat_interleave(shape.group, dim=-2).transpose(-1, -2)
    return wide * each[..., : wide.shape[-1]]


def oracle_of(packed: GpuExperts) -> PackedExperts:
    """The same layer for the torch reference: its very weights, in fp32."""
    shape = packed.shape
    gate_up = dequantise(packed.gate_up, packed.gate_up_scales, shape).cpu()
    down = dequantise(packed.down, packed.down_scales, shape).cpu()
    bias = None if packed.gate_up_bias is None else packed.gate_up_bias.cpu()
    sizes = MoeShape(
        shape.hidden,
        shape.intermediate,
        shape.experts,
        shape.top_k,
        Weights.FLOAT32,
        0,
        shape.shared,
        shape.gate,
        shape.weighting,
        shape.gate_alpha,
        shape.gate_limit,
    )
    return pack_experts(
        sizes,
        [(both[0].T, both[1].T, out.T) for both, out in zip(gate_up, down, strict=True)],
        router=None if packed.router is None else packed.router.cpu(),
        gate_bias=None if bias is None else bias[:, 0],
        up_bias=None if bias is None else bias[:, 1],
        down_bias=None if packed.down_bias is None else packed.down_bias.cpu(),
    )


@pytest.fixture
def make_layer() -> Callable[..., tuple[GpuExperts, PackedExperts]]:
    """Random layers whose outputs are of order one, and the same for the torch reference."""

    def make(
        *,
        hidden: int = 40,
        intermediate: int = 24,
        experts: int = 5,
        top_k: int = 1,
        weights: GpuWeights = GpuWeights.FLOAT32,
        group: int = 32,
        shared: bool = True,
        weighting: Weighting = Weighting.INPUT,
        clamped: bool = False,
        biased: bool = False,
        seed: int = 0,
    ) -> tuple[GpuExperts, PackedExperts]:
        generator = torch.Generator().manual_seed(seed)

        def draw(rows: int, columns: int) -> torch.Tensor:
            return (torch.randn(rows, columns, generator=generator) / rows**0.5).to(DEVICE)

        shape = GpuShape(
            hidden,
            intermediate,
            experts,
            top_k,
            weights,
            group if weights.quantised else 0,
            shared,
            Gate.CLAMPED_SWIGLU if clamped else Gate.SWIGLU,
            weighting,
            1.702 if clamped else 1.0,
            0.8 if clamped else 0.0,
        )
        matrices = [
            (draw(hidden, intermediate), draw(hidden, intermediate), draw(intermediate, hidden))
            for _ in range(shape.matrices)
        ]
        packed = pack_for_gpu(
            shape,
            matrices,
            router=draw(experts, hidden),
            gate_bias=draw(shape.matrices, intermediate) if biased else None,
            up_bias=draw(shape.matrices, intermediate) if biased else None,
            down_bias=draw(shape.matrices, hidden) if biased else None,
        )
        return packed, oracle_of(packed)

    return make


@pytest.fixture
def device() -> str:
    """Where the kernels run here."""
    return DEVICE
