"""Linear layers in the layout of the experts' kernel, in fp32, bf16, int8 or int4.

The compiled kernel reads each weight once for all rows. Without it, or for activations it does not
know, weights are unpacked a block of outputs at a time and multiplied in fp32 by torch: memory is
saved, speed is not. Llama 4's experts are nine tenths of its weights, so linears stay in bfloat16
unless a file asks for less.
"""

from __future__ import annotations

import torch
from torch import nn

from agentkit.model.kernels.decode import linear_bias, native_linear, run_linear
from agentkit.model.kernels.dispatch import library
from agentkit.model.kernels.layer import PANEL, MoeShape, Weights
from agentkit.model.kernels.packing import empty_matrix, pack_matrix, unpack_columns

__all__ = ["PackedEmbedding", "PackedLinear", "linear_shape", "pack_linear", "pack_module"]

# Panels that are unpacked at once: 512 outputs; and packed at once: 4096.
_BLOCK = 8
_PACKED_BLOCK = 64
_FORMATS = {torch.float32: Weights.FLOAT32, torch.bfloat16: Weights.BFLOAT16}


class PackedLinear(nn.Module):
    """Takes the place of one ``nn.Linear``; it has no parameters, so it cannot be saved or moved.

    ``words``: int32 [outputs / 64, inputs / depth, 64]; ``scales``: bf16 [outputs / 64,
    inputs / group, 64]; ``bias``: [outputs] or None. ``native``: the same for the C interface.
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
        self._wide_bias = linear_bias(shape, bias)
        self.native = native_linear(shape, words, scales, self._wide_bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``x`` [..., inputs] to [..., outputs] in ``x``'s dtype."""
        kernel = library()
        if kernel is not None and x.dtype in _FORMATS and x.device.type == "cpu":
            rows = run_linear(kernel, self.native, x.reshape(-1, self.in_features))
            return rows.view(*x.shape[:-1], self.out_features)
        return self._forward_in_torch(x)

    def _forward_in_torch(self, x: torch.Tensor) -> torch.Tensor:
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


class PackedEmbedding(nn.Module):
    """The embedding that is tied to a packed ``lm_head``: a token's row is a column of its panels.

    Only for weights in fp32 or bf16, which packing does not change.
    """

    def __init__(self, linear: PackedLinear) -> None:
        super().__init__()
        self.num_embeddings = linear.out_features
        self.embedding_dim = linear.in_features
        # transformers asks for the device of ``weight``, for nothing else of it.
        self.weight = linear.words
        self._dtype = next(key for key, kind in _FORMATS.items() if kind is linear.shape.weights)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Map ``ids`` [...] to [..., dim]."""
        words = self.weight[ids // PANEL, :, ids % PANEL]
        return words.view(self._dtype)[..., : self.embedding_dim]


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


def pack_module(linear: nn.Linear) -> PackedLinear:
    """Return ``linear`` packed in its own format, fp32 or bf16, some thousand outputs at a time."""
    weight = linear.weight.detach()
    shape = linear_shape(linear.in_features, linear.out_features, _FORMATS[weight.dtype], 0)
    words = empty_matrix(shape)
    for start in range(0, len(words), _PACKED_BLOCK):
        part = weight[start * PANEL : (start + _PACKED_BLOCK) * PANEL]
        some = linear_shape(linear.in_features, len(part), shape.weights, 0)
        words[start : start + _PACKED_BLOCK].copy_(pack_linear(part, some)[0])
    bias = dict(linear.named_parameters()).get("bias")
    return PackedLinear(shape, words, None, None if bias is None else bias.detach())
