"""Expert weights into the kernel's layout, quantised on the way where asked, and back.

One expert is packed at a time, so the peak is the packed weights plus one expert in fp32.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import pad

from agentkit.errors import ModelError

from .layer import GATE, PANEL, MoeShape, PackedExperts, Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ExpertWeights",
    "bf16_at_least",
    "check_matrix",
    "empty_matrix",
    "pack_experts",
    "pack_matrix",
    "unpack_columns",
    "unpack_expert",
]

ExpertWeights = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""gate [hidden, intermediate], up [hidden, intermediate], down [intermediate, hidden]."""

_BIAS = {Weights.INT8: 128, Weights.INT4: 8}
# int4 scales tried for a group, as shares of the one that just reaches its extreme: clipping the
# extreme a little costs less than the coarser steps for all others.
_INT4_SHRINK = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75)


def pack_experts(
    shape: MoeShape,
    experts: Sequence[ExpertWeights],
    *,
    router: torch.Tensor | None = None,
    gate_bias: torch.Tensor | None = None,
    up_bias: torch.Tensor | None = None,
    down_bias: torch.Tensor | None = None,
) -> PackedExperts:
    """Pack ``shape.matrices`` experts, the shared one last; views and any float dtype will do.

    ``router``: [experts, hidden]. ``gate_bias``, ``up_bias``: [matrices, intermediate].
    ``down_bias``: [matrices, hidden]. Raises ``ModelError`` if the sizes do not fit the shape.
    """
    if len(experts) != shape.matrices:
        raise ModelError(
            f"{len(experts)} experts for a layer of {shape.matrices}",
            cure="pass every routed expert and, where there is one, the shared expert last",
        )
    hidden, inner = shape.padded_hidden, shape.padded_intermediate
    _check_rest(shape, gate_bias, up_bias, down_bias, router)
    gate_up, gate_up_scales = _allocate(shape, inner // GATE, hidden)
    down, down_scales = _allocate(shape, hidden // PANEL, inner)
    for number, (gate, up, out) in enumerate(experts):
        check_matrix(gate, (shape.hidden, shape.intermediate), f"gate of expert {number}")
        check_matrix(up, (shape.hidden, shape.intermediate), f"up of expert {number}")
        check_matrix(out, (shape.intermediate, shape.hidden), f"down of expert {number}")
        columns = _interleave(_padded(gate, hidden, inner), _padded(up, hidden, inner))
        _pack_into(columns, shape, gate_up[number], gate_up_scales, number)
        columns = _padded(out, inner, hidden).view(inner, hidden // PANEL, PANEL)
        _pack_into(columns, shape, down[number], down_scales, number)
    return PackedExperts(
        shape,
        gate_up,
        down,
        gate_up_scales,
        down_scales,
        _pack_gate_bias(shape, gate_bias, up_bias),
        None if down_bias is None else _padded(down_bias, shape.matrices, hidden),
        None if router is None else _padded(router, shape.experts, hidden),
    )


def unpack_expert(packed: PackedExperts, number: int) -> ExpertWeights:
    """Return one expert's weights in fp32, dequantised: the very values the kernel uses."""
    shape = packed.shape
    columns = _unpack(packed.gate_up[number], packed.gate_up_scales, number, shape)
    gate, up = columns[..., :GATE], columns[..., GATE:]
    gate, up = (half.reshape(shape.padded_hidden, shape.padded_intermediate) for half in (gate, up))
    down = _unpack(packed.down[number], packed.down_scales, number, shape)
    down = down.reshape(shape.padded_intermediate, shape.padded_hidden)
    inputs, inner = shape.hidden, shape.intermediate
    return gate[:inputs, :inner], up[:inputs, :inner], down[:inner, :inputs]


def pack_matrix(matrix: torch.Tensor, shape: MoeShape) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Pack one matrix [inputs, outputs] as ``down`` is: words [outputs / 64, inputs / depth, 64].

    ``shape``: a layer of one expert with ``intermediate`` inputs and ``hidden`` outputs. The scales
    are [outputs / 64, inputs / group, 64], or None.
    """
    inputs, outputs = shape.padded_intermediate, shape.padded_hidden
    words, scales = _allocate(shape, outputs // PANEL, inputs)
    columns = _padded(matrix, inputs, outputs).view(inputs, outputs // PANEL, PANEL)
    _pack_into(columns, shape, words[0], scales, 0)
    return words[0], None if scales is None else scales[0]


def empty_matrix(shape: MoeShape) -> torch.Tensor:
    """Return room for the words of ``pack_matrix``, to be filled some panels at a time."""
    return _allocate(shape, shape.padded_hidden // PANEL, shape.padded_intermediate)[0][0]


def unpack_columns(
    words: torch.Tensor, scales: torch.Tensor | None, shape: MoeShape
) -> torch.Tensor:
    """Return the panels ``words`` [p, inputs / depth, 64] as fp32 [inputs, p * 64]."""
    columns = _unpack(words, None if scales is None else scales.unsqueeze(0), 0, shape)
    return columns.reshape(len(columns), -1)


def _check_rest(
    shape: MoeShape,
    gate_bias: torch.Tensor | None,
    up_bias: torch.Tensor | None,
    down_bias: torch.Tensor | None,
    router: torch.Tensor | None,
) -> None:
    if (gate_bias is None) != (up_bias is None):
        raise ModelError(
            "a bias of the gate without one of up, or the other way round",
            cure="pass both, or none",
        )
    inner, outward = (shape.matrices, shape.intermediate), (shape.matrices, shape.hidden)
    for name, tensor, size in (
        ("bias of the gate", gate_bias, inner),
        ("bias of up", up_bias, inner),
        ("bias of down", down_bias, outward),
        ("router", router, (shape.experts, shape.hidden)),
    ):
        if tensor is not None:
            check_matrix(tensor, size, name)


def check_matrix(tensor: torch.Tensor, size: tuple[int, int], name: str) -> None:
    """Raise ``ModelError`` if ``tensor``, called ``name``, is not of this size."""
    if tuple(tensor.shape) != size:
        raise ModelError(
            f"{name} is {list(tensor.shape)}, the layer's shape wants {list(size)}",
            cure="pass weights as [inputs, outputs], a router and biases as [experts, ...];"
            " transpose what the model stores the other way",
        )


def _padded(matrix: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Return ``matrix`` in fp32 with zeros up to [rows, columns]."""
    missing = (0, columns - matrix.shape[1], 0, rows - matrix.shape[0])
    return pad(matrix.detach().float(), missing).contiguous()


def _interleave(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """[k, n] twice to [k, n / 32, 64]: 32 columns of gate, then the same 32 of up."""
    halves = [matrix.view(len(matrix), -1, GATE) for matrix in (gate, up)]
    return torch.cat(halves, dim=-1)


def _pack_gate_bias(
    shape: MoeShape, gate: torch.Tensor | None, up: torch.Tensor | None
) -> torch.Tensor | None:
    if gate is None or up is None:
        return None
    sizes = (shape.matrices, shape.padded_intermediate)
    return _interleave(_padded(gate, *sizes), _padded(up, *sizes)).contiguous()


def _allocate(shape: MoeShape, panels: int, k: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    words = torch.empty((shape.matrices, *shape.word_size(panels, k)), dtype=torch.int32)
    _advise_huge_pages(words)
    if not shape.weights.quantised:
        return words, None
    size = (shape.matrices, *shape.scale_size(panels, k))
    return words, torch.empty(size, dtype=torch.bfloat16)


def _advise_huge_pages(tensor: torch.Tensor) -> None:
    """Ask Linux for huge pages before the first touch: weights are read in long streams."""
    if sys.platform != "linux" or tensor.nbytes < 1 << 22:
        return
    page = mmap.PAGESIZE
    start = -(-tensor.data_ptr() // page) * page
    length = (tensor.data_ptr() + tensor.nbytes - start) // page * page
    libc = ctypes.CDLL(None)
    # Advice only: where the kernel declines, the pages are small and all works.
    libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), mmap.MADV_HUGEPAGE)


def _pack_into(
    columns: torch.Tensor,
    shape: MoeShape,
    words: torch.Tensor,
    scales: torch.Tensor | None,
    number: int,
) -> None:
    """Pack ``columns`` [k, panels, 64] fp32 into ``words`` [panels, k / depth, 64] int32."""
    k, panels, _ = columns.shape
    depth = shape.weights.depth
    if shape.weights is Weights.FLOAT32:
        words.copy_(columns.permute(1, 0, 2).contiguous().view(torch.int32))
    elif shape.weights is Weights.BFLOAT16:
        pairs = columns.to(torch.bfloat16).view(k // depth, depth, panels, PANEL)
        words.copy_(pairs.permute(2, 0, 3, 1).contiguous().view(torch.int32).squeeze(-1))
    elif scales is not None:
        grouped = columns.view(k // shape.group, shape.group, panels, PANEL)
        values, group_scales = _quantise(grouped, shape.weights)
        scales[number].copy_(group_scales.permute(1, 0, 2))
        units = values.reshape(k // depth, depth, panels, PANEL)
        if shape.weights is Weights.INT4:
            units = units[:, :4] | (units[:, 4:] << 4)
        words.copy_(units.permute(2, 0, 3, 1).contiguous().view(torch.int32).squeeze(-1))


def _quantise(groups: torch.Tensor, weights: Weights) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn ``groups`` [g, group, panels, 64] into biased uint8 and bf16 scales [g, panels, 64]."""
    if weights is Weights.INT8:
        scale = bf16_at_least(groups.abs().amax(dim=1) / 127)
        return _biased(_rounded(groups, scale, -127, 127), weights), scale
    # The extreme gets -8, the side with one more step (as in GGUF's Q4_0).
    largest = groups.amax(dim=1)
    smallest = groups.amin(dim=1)
    extreme = torch.where(largest > -smallest, largest, smallest)
    best_scale = torch.zeros_like(extreme, dtype=torch.bfloat16)
    best_error = torch.full_like(extreme, torch.inf)
    for shrink in _INT4_SHRINK:
        scale = (extreme * (shrink / -8)).to(torch.bfloat16)
        error = (_rounded(groups, scale, -8, 7) * scale.float().unsqueeze(1) - groups).square()
        error = error.sum(dim=1)
        best_scale = torch.where(error < best_error, scale, best_scale)
        best_error = torch.minimum(error, best_error)
    # Damage stays visible, as it does in int8.
    best_scale = torch.where(extreme.isfinite(), best_scale, torch.nan)
    return _biased(_rounded(groups, best_scale, -8, 7), weights), best_scale


def _rounded(groups: torch.Tensor, scale: torch.Tensor, low: int, high: int) -> torch.Tensor:
    divisor = torch.where(scale == 0, torch.ones_like(scale), scale).float().unsqueeze(1)
    return (groups / divisor).round().clamp(low, high)


def _biased(values: torch.Tensor, weights: Weights) -> torch.Tensor:
    return (values + _BIAS[weights]).to(torch.uint8)


def bf16_at_least(values: torch.Tensor) -> torch.Tensor:
    """Round up to bfloat16, so that a group's extreme is not clipped."""
    rounded = values.to(torch.bfloat16)
    above = (rounded.view(torch.int16) + 1).view(torch.bfloat16)
    return torch.where(rounded.float() < values, above, rounded)


def _unpack(
    words: torch.Tensor, scales: torch.Tensor | None, number: int, shape: MoeShape
) -> torch.Tensor:
    """One expert's ``words`` [panels, k / depth, 64] to fp32 [k, panels, 64]."""
    panels, rows, _ = words.shape
    depth = shape.weights.depth
    if shape.weights is Weights.FLOAT32:
        return words.view(torch.float32).permute(1, 0, 2)
    if shape.weights is Weights.BFLOAT16:
        pairs = words.unsqueeze(-1).view(torch.bfloat16)
        return pairs.permute(1, 3, 0, 2).reshape(rows * depth, panels, PANEL).float()
    units = words.unsqueeze(-1).view(torch.uint8)
    if shape.weights is Weights.INT4:
        units = torch.cat([units & 15, units >> 4], dim=-1)
    values = units.permute(1, 3, 0, 2).reshape(rows * depth, panels, PANEL).float()
    values = values - _BIAS[shape.weights]
    if scales is None:
        raise ModelError("quantised weights without scales", cure="pack the weights again")
    factors = scales[number].permute(1, 0, 2).float()
    return values * factors.repeat_interleave(shape.group, dim=0)
