"""Linear layers in int8 or int4, in the layout of the experts' kernel.

Weights are unpacked a block of outputs at a time and multiplied in fp32 by torch: memory is saved,
speed is not. Llama 4's experts are nine tenths of its weights, so linears stay in bfloat16 unless
a file asks for less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from agentkit.model.kernels.layer import PANEL, MoeShape
from agentkit.model.kernels.packing import pack_matrix, unpack_columns

if TYPE_CHECKING:
    from agentkit.model.kernels.layer import Weights

__all__ = ["PackedLinear", "linear_shape", "pack_linear"]

# Panels that are unpacked at once: 512 outputs.
_BLOCK = 8


class PackedLinear(nn.Module):
    """Takes the place of one ``nn.Linear``; it has no parameters, so it cannot be saved or moved.

    ``words``: int32 [outputs / 64, inputs / depth, 64]; ``scales``: bf16 [outputs / 64,
    inputs / group, 64]; ``bias``: [outputs] or None.
    """

    def __init__(
        self,
        shape: MoeShape,
        words: torch.Tensor,
        scales: torch.Tensor | None,
        bias: torch.Tensor | None,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.in_features = shape.intermediate
        self.out_features = shape.hidden
        self.words = words
        self.scales = scales
        self.bias = bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``x`` [..., inputs] to [..., outputs] in ``x``'s dtype."""
        missing = self.shape.padded_intermediate - self.in_features
        wide = nn.functional.pad(x.float(), (0, missing))
        out = x.new_empty((*x.shape[:-1], self.out_features))
        for start in range(0, len(self.words), _BLOCK):
            part = slice(start, start + _BLOCK)
            scales = None if self.scales is None else self.scales[part]
            columns = slice(start * PANEL, min((start + _BLOCK) * PANEL, self.out_features))
            weight = unpack_columns(self.words[part], scales, self.shape)
            out[..., columns] = (wide @ weight[:, : columns.stop - columns.start]).to(x.dtype)
        return out if self.bias is None else out + self.bias


def linear_shape(inputs: int, outputs: int, weights: Weights, group: int) -> MoeShape:
    """Describe a linear layer as the ``down`` matrix of a layer with one expert."""
    return MoeShape(
        hidden=outputs,
        intermediate=inputs,
        experts=1,
        top_k=1,
        weights=weights,
        group=group if weights.quantised else 0,
    )


def pack_linear(weight: torch.Tensor, shape: MoeShape) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Pack ``weight`` [outputs, inputs]; return words and scales."""
    return pack_matrix(weight.T, shape)
