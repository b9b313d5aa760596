"""The dense model as it is trained: a Llama in bf16 with LoRA on every linear layer.

Written out in one file, rather than taken from transformers, for three reasons: rows of queries
and keys stay in the order of the GGUF file (rotary pairs are neighbours), so an adapter is added
to the file's weights as it is; projections that read the same input are one matrix product; and
attention takes the mask of a tree (``packing.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from agentkit.model.embedded.gguf_file import DenseModel

__all__ = ["RANK", "SCALE", "Network"]

RANK = 16
SCALE = 2.0


class AdaptedLinear(nn.Module):
    """Frozen projections of one input, side by side, each with its own low-rank addition.

    ``y_i = x W_i' + SCALE * (x A_i') B_i'``; ``weight`` [sum of out_i, in], ``down`` [n, RANK, in],
    ``up_i`` [out_i, RANK], kept in fp32 and used in the weight's type.
    """

    def __init__(self, weights: list[torch.Tensor], dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("weight", torch.cat(weights).to(dtype), persistent=False)
        inputs = weights[0].shape[1]
        self.down = nn.Parameter(torch.randn(len(weights), RANK, inputs) * inputs**-0.5)
        self.up = nn.ParameterList(nn.Parameter(torch.zeros(len(w), RANK)) for w in weights)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: [..., in] -> [..., sum of out_i]."""
        low = functional.linear(x, self.down.flatten(0, 1).to(x.dtype)) * SCALE
        up = torch.block_diag(*self.up).to(x.dtype)
        base = functional.linear(x, self.weight)
        added = torch.addmm(base.flatten(0, -2), low.flatten(0, -2), up.t())
        return added.view(base.shape)


class Block(nn.Module):
    """One decoder layer."""

    def __init__(self, dense: DenseModel, number: int, dtype: torch.dtype) -> None:
        super().__init__()

        def weight(name: str) -> torch.Tensor:
            return dense.weights[f"blk.{number}.{name}.weight"]

        self.heads, self.kv_heads, self.head_dim = dense.heads, dense.kv_heads, dense.head_dim
        self.epsilon = dense.norm_epsilon
        self.register_buffer("attn_norm", weight("attn_norm").to(dtype), persistent=False)
        self.register_buffer("ffn_norm", weight("ffn_norm").to(dtype), persistent=False)
        self.register_buffer("swap", _swap(dense.head_dim).to(dtype), persistent=False)
        self.qkv = AdaptedLinear([weight("attn_q"), weight("attn_k"), weight("attn_v")], dtype)
        self.output = AdaptedLinear([weight("attn_output")], dtype)
        self.gate_up = AdaptedLinear([weight("ffn_gate"), weight("ffn_up")], dtype)
        self.down = AdaptedLinear([weight("ffn_down")], dtype)

    def forward(self, x: torch.Tensor, rotation: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """x: [B, T, H]; rotation: [2, B, T, 1, head_dim], cosine and
        sine; mask: [B, 1, T, T], added to scores.
        """
        batch, length, _ = x.shape
        normed = functional.rms_norm(x, (x.shape[-1],), self.attn_norm, self.epsilon)
        joined = self.qkv(normed).view(batch, length, -1, self.head_dim)
        turned, value = joined.split([self.heads + self.kv_heads, self.kv_heads], dim=2)
        turned = turned * rotation[0] + (turned @ self.swap) * rotation[1]
        query, key = turned.split([self.heads, self.kv_heads], dim=2)
        attended = _attend(query, key, value, mask)
        x = x + self.output(attended)
        normed = functional.rms_norm(x, (x.shape[-1],), self.ffn_norm, self.epsilon)
        gate, up = self.gate_up(normed).chunk(2, dim=-1)
        return x + self.down(functional.silu(gate) * up)


class Network(nn.Module):
    """The whole model; only the adapters above the lowest ``frozen`` layers have gradients."""

    def __init__(
        self, dense: DenseModel, dtype: torch.dtype = torch.bfloat16, *, frozen: int = 0
    ) -> None:
        super().__init__()
        embedding = dense.weights["token_embd.weight"].to(dtype)
        self.register_buffer("embedding", embedding, persistent=False)
        norm = dense.weights["output_norm.weight"].to(dtype)
        self.register_buffer("norm", norm, persistent=False)
        self.blocks = nn.ModuleList(Block(dense, n, dtype) for n in range(dense.layers))
        half = torch.arange(0, dense.head_dim, 2) / dense.head_dim
        self.register_buffer("frequencies", dense.rope_theta**-half, persistent=False)
        self.epsilon = dense.norm_epsilon
        self.frozen = frozen

    def forward(
        self, tokens: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Return the last hidden states [B, T, H]. tokens, positions: [B, T]; mask: [B, T, T]."""
        angles = (positions[..., None] * self.frequencies).repeat_interleave(2, dim=-1)
        rotation = torch.stack([angles.cos(), angles.sin()])[:, :, :, None].to(self.embedding.dtype)
        x = functional.embedding(tokens, self.embedding)
        blocked = torch.zeros(mask.shape, dtype=x.dtype).masked_fill_(~mask, -1e9)[:, None]
        for number, block in enumerate(self.blocks):
            with torch.set_grad_enabled(torch.is_grad_enabled() and number >= self.frozen):
                x = block(x, rotation, blocked)
        return functional.rms_norm(x, (x.shape[-1],), self.norm, self.epsilon)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """hidden: [N, H] -> [N, vocabulary], fp32."""
        return functional.linear(hidden, self.embedding).float()


def _swap(head_dim: int) -> torch.Tensor:
    """Return the matrix that turns neighbours (a, b) into (-b, a): a product is faster, backwards
    above all, than slices with a stride.
    """
    swap = torch.zeros(head_dim, head_dim)
    even = torch.arange(0, head_dim, 2)
    swap[even + 1, even] = -1.0
    swap[even, even + 1] = 1.0
    return swap


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """Attention written out: its backward pass is several times faster than that of torch's fused
    CPU kernel. query: [B, T, heads, D]; key, value: [B, T, kv_heads, D]; mask: [B, 1, T, T].
    """
    batch, length, kv_heads, dim = key.shape
    groups = query.shape[2] // kv_heads
    rows = query.view(batch, length, kv_heads, groups, dim).permute(0, 2, 3, 1, 4)
    rows = rows.reshape(batch * kv_heads, groups * length, dim) * dim**-0.5
    columns = key.permute(0, 2, 3, 1).reshape(batch * kv_heads, dim, length)
    scores = torch.bmm(rows, columns).view(batch, kv_heads * groups, length, length) + mask
    weights = scores.softmax(-1).view(batch * kv_heads, groups * length, length)
    values = value.transpose(1, 2).reshape(batch * kv_heads, length, dim)
    mixed = torch.bmm(weights, values).view(batch, kv_heads, groups, length, dim)
    return mixed.permute(0, 3, 1, 2, 4).reshape(batch, length, kv_heads * groups * dim)
