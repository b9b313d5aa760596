"""The layer in plain torch: the oracle the kernel is tested against, and the fallback without it.

All arithmetic is fp32 on the unpacked weights, one expert at a time; correct first, slow second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .layer import Gate, MoeShape, PackedExperts, Weighting
from .packing import unpack_expert

if TYPE_CHECKING:
    from .packing import ExpertWeights

__all__ = ["choose_experts", "reference_experts", "reference_routed"]


def choose_experts(logits: torch.Tensor, top_k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids int64 and sigmoid scores fp32, both [tokens, top_k], of ``logits``.

    Best first; a tie goes to the lowest index; NaN never wins against a number.
    """
    ranked = torch.where(logits.isnan(), -torch.inf, logits)
    ids = torch.sort(ranked, dim=-1, descending=True, stable=True).indices[:, :top_k]
    return ids, torch.sigmoid(logits.gather(1, ids))


def reference_experts(
    x: torch.Tensor, ids: torch.Tensor, scores: torch.Tensor, packed: PackedExperts
) -> torch.Tensor:
    """Return [tokens, hidden] in ``x``'s dtype.

    ``x``: [tokens, hidden]; ``ids``: int64 [tokens, top_k], one outside the experts takes no part;
    ``scores``: fp32 [tokens, top_k].
    """
    shape = packed.shape
    wide = x.float()
    out = torch.zeros_like(wide)
    for expert in range(shape.matrices):
        if expert < shape.experts:
            tokens, slots = torch.where(ids == expert)
            weight = scores[tokens, slots].float().unsqueeze(1)
        else:
            tokens = torch.arange(len(x), device=x.device)
            weight = torch.ones(len(x), 1, device=x.device)
        if not len(tokens):
            continue
        at_input = shape.weighting is Weighting.INPUT
        rows = wide[tokens] * weight if at_input else wide[tokens]
        rows = _run_expert(rows, unpack_expert(packed, expert), packed, expert)
        out.index_add_(0, tokens, rows if at_input else rows * weight)
    return out.to(x.dtype)


def reference_routed(x: torch.Tensor, packed: PackedExperts) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the output [tokens, hidden] and the router's fp32 logits [tokens, experts]."""
    router = packed.router
    if router is None:
        raise ValueError("these packed weights have no router")
    logits = x.float() @ router[:, : packed.shape.hidden].T
    ids, scores = choose_experts(logits, packed.shape.top_k)
    return reference_experts(x, ids, scores, packed), logits


def _run_expert(
    x: torch.Tensor, weights: ExpertWeights, packed: PackedExperts, number: int
) -> torch.Tensor:
    shape = packed.shape
    gate, up = x @ weights[0], x @ weights[1]
    if packed.gate_up_bias is not None:
        halves = packed.gate_up_bias[number].chunk(2, dim=-1)
        gate, up = (
            column + half.reshape(-1)[: shape.intermediate]
            for column, half in zip((gate, up), halves, strict=True)
        )
    out = _activate(gate, up, shape) @ weights[2]
    if packed.down_bias is not None:
        out = out + packed.down_bias[number, : shape.hidden]
    return out


def _activate(gate: torch.Tensor, up: torch.Tensor, shape: MoeShape) -> torch.Tensor:
    if shape.gate is Gate.CLAMPED_SWIGLU:
        gate = gate.clamp(max=shape.gate_limit)
        up = up.clamp(-shape.gate_limit, shape.gate_limit)
        return (up + 1) * gate * torch.sigmoid(shape.gate_alpha * gate)
    return up * torch.nn.functional.silu(gate)
