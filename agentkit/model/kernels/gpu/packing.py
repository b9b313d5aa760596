"""Expert weights into the GPU's layout, quantised on the way where asked.

One expert is packed at a time, on the device where it is, so the peak is the packed weights plus
one matrix in fp32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import pad

from agentkit.errors import ModelError
from agentkit.model.kernels.packing import bf16_at_least, check_matrix

from .layer import GpuExperts, GpuShape, GpuWeights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkit.model.kernels.packing import ExpertWeights

__all__ = ["pack_for_gpu"]

_DTYPES = {
    GpuWeights.FLOAT32: torch.float32,
    GpuWeights.BFLOAT16: torch.bfloat16,
    GpuWeights.INT8: torch.int8,
    GpuWeights.FLOAT16: torch.float16,
    GpuWeights.FLOAT8: torch.uint8,
}
_LARGEST = {GpuWeights.INT8: 127.0, GpuWeights.FLOAT8: 448.0}


def pack_for_gpu(
    shape: GpuShape,
    experts: Sequence[ExpertWeights],
    *,
    router: torch.Tensor | None = None,
    gate_bias: torch.Tensor | None = None,
    up_bias: torch.Tensor | None = None,
    down_bias: torch.Tensor | None = None,
) -> GpuExperts:
    """Pack ``shape.matrices`` experts, the shared one last, on the device of the first.

    Each is gate and up [hidden, intermediate] and down [intermediate, hidden]; views and any float
    dtype will do. ``router``: [experts, hidden]. ``gate_bias``, ``up_bias``: [matrices,
    intermediate]. ``down_bias``: [matrices, hidden]. Raises ``ModelError`` if a size does not fit.
    """
    if len(experts) != shape.matrices:
        raise ModelError(
            f"{len(experts)} experts for a layer of {shape.matrices}",
            cure="pass every routed expert and, where there is one, the shared expert last",
        )
    hidden, inner = shape.hidden, shape.intermediate
    device = experts[0][0].device
    gate_up, gate_up_scales = _allocate(shape, (shape.matrices, 2), inner, hidden, device)
    down, down_scales = _allocate(shape, (shape.matrices,), hidden, inner, device)
    for number, (gate, up, out) in enumerate(experts):
        check_matrix(gate, (hidden, inner), f"gate of expert {number}")
        check_matrix(up, (hidden, inner), f"up of expert {number}")
        check_matrix(out, (inner, hidden), f"down of expert {number}")
        for half, matrix in enumerate((gate, up)):
            scales = None if gate_up_scales is None else gate_up_scales[number, half]
            _pack_into(gate_up[number, half], scales, matrix.detach().T, shape)
        scales = None if down_scales is None else down_scales[number]
        _pack_into(down[number], scales, out.detach().T, shape)
    bias = None
    if gate_bias is not None and up_bias is not None:
        bias = _wide(torch.stack([gate_bias, up_bias], dim=1))
    return GpuExperts(
        shape,
        gate_up,
        down,
        gate_up_scales,
        down_scales,
        bias,
        None if down_bias is None else _wide(down_bias),
        None if router is None else _wide(router),
    )


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().float().contiguous()


def _allocate(
    shape: GpuShape, lead: tuple[int, ...], outputs: int, inputs: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor | None]:
    values = torch.empty((*lead, outputs, inputs), dtype=_DTYPES[shape.weights], device=device)
    if not shape.weights.quantised:
        return values, None
    size = (*lead, -(-inputs // shape.group), outputs)
    return values, torch.empty(size, dtype=torch.bfloat16, device=device)


def _pack_into(
    values: torch.Tensor, scales: torch.Tensor | None, matrix: torch.Tensor, shape: GpuShape
) -> None:
    """Fill ``values`` and ``matrix`` [outputs, inputs], ``scales`` [groups, outputs]."""
    if scales is None:
        values.copy_(matrix)
        return
    outputs, inputs = matrix.shape
    padded = pad(matrix.float(), (0, len(scales) * shape.group - inputs))
    groups = padded.view(outputs, len(scales), shape.group)
    largest = _LARGEST[shape.weights]
    scale = bf16_at_least(groups.abs().amax(dim=2) / largest)
    divisor = torch.where(scale == 0, torch.ones_like(scale), scale).float().unsqueeze(2)
    steps = (groups / divisor).clamp(-largest, largest)
    if shape.weights is GpuWeights.INT8:
        stored = steps.round().to(torch.int8)
    else:
        stored = steps.to(torch.float8_e4m3fn).view(torch.uint8)
    values.copy_(stored.view(outputs, -1)[:, :inputs])
    scales.copy_(scale.T)
