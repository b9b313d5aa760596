"""Llama 4's mixture of experts on the compiled kernel, or on a GPU on the Triton kernels.

``FusedMoe`` takes the place of a ``RoutedMoe`` (see ``routing``) where the kernel is built and can
run the block: router, gather, experts, shared expert and combination are one call. The numbers are
those of ``RoutedMoe``: fp32 routing, ties to the lowest index, the score on the expert's input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from agentkit.model.kernels.dispatch import library
from agentkit.model.kernels.gpu.layer import (
    GpuExperts,
    GpuShape,
    GpuWeights,
    choose_weights,
    cpu_weights,
    triton_runs_on,
)
from agentkit.model.kernels.gpu.packing import pack_for_gpu
from agentkit.model.kernels.layer import MoeShape, PackedExperts, Weighting, Weights
from agentkit.model.kernels.ops import routed_forward
from agentkit.model.kernels.packing import ExpertWeights, pack_experts
from agentkit.model.local.routing import RoutedMoe

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FusedMoe", "block_fits", "fuse_experts", "pack_block", "pack_block_for_gpu"]

_FORMATS = {torch.float32: Weights.FLOAT32, torch.bfloat16: Weights.BFLOAT16}
_GPU_FORMATS = frozenset({*_FORMATS, torch.float16})


class FusedMoe(nn.Module):
    """One routed block with packed weights; it has no parameters, so it cannot be saved or moved.

    ``forward`` returns what transformers' decoder layer expects: the output [tokens, hidden] and
    the router's logits [tokens, experts] in fp32.
    """

    def __init__(self, packed: PackedExperts | GpuExperts) -> None:
        super().__init__()
        self.packed = packed

    def forward(self, hidden_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map ``hidden_states`` [..., hidden] to ([tokens, hidden], [tokens, experts])."""
        x = hidden_states.reshape(-1, hidden_states.shape[-1])
        return routed_forward(x, self.packed)


def fuse_experts(
    model: nn.Module,
    *,
    weights: Weights | GpuWeights | None = None,
    group: int = 32,
    interpret: bool = False,
) -> int:
    """Put every ``RoutedMoe`` of ``model`` on the kernel; return how many were.

    ``weights``: the experts' format, by default the model's own; ``group``: inputs per scale of
    int8, int4 and fp8. A block whose weights are on a GPU runs on the Triton kernels; with
    ``interpret`` one on the CPU does too, in Triton's interpreter. One block is packed and its old
    weights let go before the next. Without a kernel for its device a block stays as it is. Raises
    ``ModelError`` for a format that the device has no kernel for.
    """
    fused = 0
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if not isinstance(child, RoutedMoe):
                continue
            triton = triton_runs_on(_stacked(child)[0].device, interpret=interpret)
            if block_fits(child, gpu=triton) and (triton or library() is not None):
                packed: PackedExperts | GpuExperts = (
                    pack_block_for_gpu(child, weights=weights, group=group)
                    if triton
                    else pack_block(child, weights=weights, group=group)
                )
                setattr(module, name, FusedMoe(packed))
                fused += 1
    return fused


def pack_block(
    block: RoutedMoe, *, weights: Weights | GpuWeights | None = None, group: int = 32
) -> PackedExperts:
    """Return one block's weights, router and shared expert included, in the CPU's layout."""
    chosen = cpu_weights(weights)
    if chosen is None:
        chosen = _FORMATS[_stacked(block)[0].dtype]
    shape = _shape(block, chosen, group)
    return pack_experts(shape, list(_matrices(block)), router=_router(block))


def pack_block_for_gpu(
    block: RoutedMoe, *, weights: Weights | GpuWeights | None = None, group: int = 32
) -> GpuExperts:
    """Return the same in the GPU's layout, on the device where the block is."""
    chosen = choose_weights(weights, str(_stacked(block)[0].dtype))
    shape = GpuShape.of(_shape(block, Weights.FLOAT32, 0), chosen, group)
    return pack_for_gpu(shape, list(_matrices(block)), router=_router(block))


def _shape(block: RoutedMoe, weights: Weights, group: int) -> MoeShape:
    gate_up, down = _stacked(block)
    return MoeShape(
        hidden=gate_up.shape[1],
        intermediate=down.shape[1],
        experts=len(gate_up),
        top_k=block.top_k,
        weights=weights,
        group=group if weights.quantised else 0,
        shared=True,
        weighting=Weighting.INPUT,
    )


def _router(block: RoutedMoe) -> torch.Tensor:
    router: torch.Tensor = block.router.weight  # type: ignore[assignment]  # nn.Module types all as Tensor | Module
    return router


def _stacked(block: RoutedMoe) -> tuple[torch.Tensor, torch.Tensor]:
    gate_up: torch.Tensor = block.experts.gate_up_proj  # type: ignore[assignment]  # as above
    down: torch.Tensor = block.experts.down_proj  # type: ignore[assignment]  # as above
    return gate_up.detach(), down.detach()


def _shared(block: RoutedMoe) -> ExpertWeights:
    names = ("gate_proj", "up_proj", "down_proj")
    gate, up, down = (getattr(block.shared_expert, name).weight.detach().T for name in names)
    return gate, up, down


def _matrices(block: RoutedMoe) -> Iterator[ExpertWeights]:
    for gate_up, down in zip(*_stacked(block), strict=True):
        gate, up = gate_up.chunk(2, dim=-1)
        yield gate, up, down
    yield _shared(block)


def block_fits(block: RoutedMoe, *, gpu: bool = False) -> bool:
    """Whether the kernel, the CPU's or the GPU's, computes what this block computes."""
    gate_up, down = _stacked(block)
    activation = type(block.experts.act_fn).__name__
    formats = _GPU_FORMATS if gpu else frozenset(_FORMATS)
    return (
        (gpu or gate_up.device.type in {"cpu", "meta"})
        and gate_up.dtype in formats
        and activation in {"SiLU", "SiLUActivation"}
        and _shared(block)[2].shape == down.shape[1:]
    )
