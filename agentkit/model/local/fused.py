"""Llama 4's mixture of experts on the compiled kernel.

``FusedMoe`` takes the place of a ``RoutedMoe`` (see ``routing``) where the kernel is built and can
run the block: router, gather, experts, shared expert and combination are one call. The numbers are
those of ``RoutedMoe``: fp32 routing, ties to the lowest index, the score on the expert's input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from agentkit.model.kernels.dispatch import library
from agentkit.model.kernels.layer import MoeShape, PackedExperts, Weighting, Weights
from agentkit.model.kernels.ops import routed_forward
from agentkit.model.kernels.packing import ExpertWeights, pack_experts
from agentkit.model.local.routing import RoutedMoe

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FusedMoe", "block_fits", "fuse_experts", "pack_block"]

_FORMATS = {torch.float32: Weights.FLOAT32, torch.bfloat16: Weights.BFLOAT16}


class FusedMoe(nn.Module):
    """One routed block with packed weights; it has no parameters, so it cannot be saved or moved.

    ``forward`` returns what transformers' decoder layer expects: the output [tokens, hidden] and
    the router's logits [tokens, experts] in fp32.
    """

    def __init__(self, packed: PackedExperts) -> None:
        super().__init__()
        self.packed = packed

    def forward(self, hidden_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map ``hidden_states`` [..., hidden] to ([tokens, hidden], [tokens, experts])."""
        x = hidden_states.reshape(-1, hidden_states.shape[-1])
        return routed_forward(x, self.packed)


def fuse_experts(model: nn.Module, *, weights: Weights | None = None, group: int = 32) -> int:
    """Put every ``RoutedMoe`` of ``model`` on the kernel; return how many were.

    ``weights``: the experts' format, by default the model's own; ``group``: inputs per scale of
    int8 and int4. One block is packed and its old weights let go before the next. Without a
    compiled kernel, or on another device than the CPU, nothing changes and the result is 0.
    """
    if library() is None:
        return 0
    fused = 0
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, RoutedMoe) and block_fits(child):
                setattr(module, name, FusedMoe(pack_block(child, weights=weights, group=group)))
                fused += 1
    return fused


def pack_block(
    block: RoutedMoe, *, weights: Weights | None = None, group: int = 32
) -> PackedExperts:
    """Return one block's weights, router and shared expert included, in the kernel's layout."""
    gate_up, down = _stacked(block)
    chosen = weights if weights is not None else _FORMATS[gate_up.dtype]
    shape = MoeShape(
        hidden=gate_up.shape[1],
        intermediate=down.shape[1],
        experts=len(gate_up),
        top_k=block.top_k,
        weights=chosen,
        group=group if chosen.quantised else 0,
        shared=True,
        weighting=Weighting.INPUT,
    )
    router: torch.Tensor = block.router.weight  # type: ignore[assignment]  # nn.Module types all as Tensor | Module
    return pack_experts(shape, list(_matrices(block)), router=router)


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


def block_fits(block: RoutedMoe) -> bool:
    """Whether the kernel computes what this block computes."""
    gate_up, down = _stacked(block)
    activation = type(block.experts.act_fn).__name__
    return (
        gate_up.device.type in {"cpu", "meta"}
        and gate_up.dtype in _FORMATS
        and activation in {"SiLU", "SiLUActivation"}
        and _shared(block)[2].shape == down.shape[1:]
    )
