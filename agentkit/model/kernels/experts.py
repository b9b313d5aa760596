"""The kernel under every model family that uses transformers' experts interface.

``use_fused_experts(model)`` packs the experts of each layer and switches the model to the
implementation ``agentkit``. A layer the kernel does not know (another activation, no gate, a norm
after the experts) keeps its weights and runs as before.

    qwen3_moe, olmoe, mixtral, granitemoe, glm4_moe, deepseek_v3: SwiGLU, [experts, out, in]
    gpt_oss: clamped SwiGLU with biases, [experts, in, out], gate and up interleaved
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS, grouped_mm_experts_forward

from agentkit.errors import ModelError

from .gpu.layer import GpuExperts, GpuShape, GpuWeights, choose_weights, cpu_weights, triton_runs_on
from .gpu.packing import pack_for_gpu
from .layer import Gate, MoeShape, PackedExperts, Weights
from .ops import experts_forward
from .packing import ExpertWeights, pack_experts

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "IMPLEMENTATION",
    "attach_packed",
    "experts_shape",
    "fits_kernel",
    "switch_to_kernel",
    "use_fused_experts",
]

IMPLEMENTATION = "agentkit"
"""The name under which transformers knows the kernel."""

_PACKED = "agentkit_packed"
_DEVICES = frozenset({"cpu", "meta"})
_FORMATS = {torch.float32: Weights.FLOAT32, torch.bfloat16: Weights.BFLOAT16}


def use_fused_experts(
    model: nn.Module,
    *,
    weights: Weights | GpuWeights | None = None,
    group: int = 32,
    release: bool = True,
    interpret: bool = False,
) -> int:
    """Run the experts of ``model`` (a transformers model) on the kernel; return how many layers.

    ``weights``: their format, by default the model's own (fp32 or bf16); ``group``: inputs per
    scale of int8, int4 and fp8. ``release`` frees the model's own copy of each packed layer, after
    which the model can neither be saved nor trained nor moved. A layer whose weights are on a GPU
    runs on the Triton kernels; with ``interpret`` one on the CPU does too, in Triton's interpreter.
    Zero layers leave the model unchanged. Raises ``ModelError`` for a format that the device has no
    kernel for.
    """
    layers = [module for module in model.modules() if fits_kernel(module)]
    for module in layers:
        attach_packed(module, _pack(module, weights, group, interpret=interpret), release=release)
    if layers:
        switch_to_kernel(model)
    return len(layers)


def attach_packed(
    module: nn.Module, packed: PackedExperts | GpuExperts, *, release: bool = True
) -> None:
    """Give one experts module its packed weights; ``release`` frees its own."""
    # Not a buffer: it is no part of the state a model saves.
    object.__setattr__(module, _PACKED, packed)
    if release:
        _release(module)


def switch_to_kernel(model: nn.Module) -> None:
    """Make transformers call the kernel for every experts module of ``model``."""
    ALL_EXPERTS_FUNCTIONS.register(IMPLEMENTATION, _forward)
    switch = getattr(model, "set_experts_implementation", None)
    if switch is None:
        raise ModelError(
            f"{type(model).__name__} has no experts interface",
            cure="pass a transformers model (PreTrainedModel) of version 5 or newer",
        )
    switch(IMPLEMENTATION)


def _forward(
    module: nn.Module, hidden: torch.Tensor, ids: torch.Tensor, scores: torch.Tensor
) -> torch.Tensor:
    """Serve the interface; ``hidden``: [tokens, hidden], ``ids``, ``scores``: [tokens, top_k]."""
    packed = getattr(module, _PACKED, None)
    if packed is None:
        out: torch.Tensor = grouped_mm_experts_forward(module, hidden, ids, scores)
        return out
    return experts_forward(hidden, ids, scores, packed)


def _is_clamped(module: nn.Module) -> bool:
    return hasattr(module, "alpha") and hasattr(module, "limit")


def fits_kernel(module: nn.Module) -> bool:
    """Whether the kernel computes what this module computes; its weights may be yet to come."""
    weight = getattr(module, "gate_up_proj", None)
    if not hasattr(module, "is_concatenated") or not isinstance(weight, nn.Parameter):
        return False
    if not module.has_gate or module.has_post_expert_norm:
        return False
    if weight.device.type not in _DEVICES and not triton_runs_on(weight.device):
        return False
    if _is_clamped(module):
        return True
    plain = type(module)._apply_gate.__name__ == "_default_apply_gate"  # type: ignore[attr-defined]  # noqa: SLF001 - transformers' own mark of a plain gate
    activation = getattr(module, "act_fn", None)
    return plain and type(activation).__name__ in {"SiLU", "SiLUActivation"}


def experts_shape(module: nn.Module, weights: Weights | None, group: int) -> MoeShape:
    """Return the layer that one experts module of transformers is."""
    gate_up: torch.Tensor = module.gate_up_proj  # type: ignore[assignment]  # nn.Module types all as Tensor | Module
    chosen = weights if weights is not None else _FORMATS.get(gate_up.dtype, Weights.FLOAT32)
    first = next(_experts(module))
    return MoeShape(
        hidden=first[0].shape[0],
        intermediate=first[0].shape[1],
        experts=len(gate_up),
        top_k=int(module.config.num_experts_per_tok),  # type: ignore[union-attr,arg-type]  # as above
        weights=chosen,
        group=group if chosen.quantised else 0,
        gate=Gate.CLAMPED_SWIGLU if _is_clamped(module) else Gate.SWIGLU,
        gate_alpha=float(getattr(module, "alpha", 1.0)),
        gate_limit=float(getattr(module, "limit", 0.0)),
    )


def _pack(
    module: nn.Module, weights: Weights | GpuWeights | None, group: int, *, interpret: bool
) -> PackedExperts | GpuExperts:
    """Pack one experts module of transformers."""
    gate_bias = up_bias = down_bias = None
    if module.has_bias:
        bias: torch.Tensor = module.gate_up_proj_bias  # type: ignore[assignment]  # as above
        gate_bias, up_bias = _halves(bias, interleaved=not module.is_concatenated)
        down_bias = module.down_proj_bias
    experts = list(_experts(module))
    own = experts[0][0]
    if triton_runs_on(own.device, interpret=interpret):
        chosen = choose_weights(weights, str(own.dtype))
        return pack_for_gpu(
            GpuShape.of(experts_shape(module, None, 0), chosen, group),
            experts,
            gate_bias=gate_bias,
            up_bias=up_bias,
            down_bias=down_bias,  # type: ignore[arg-type]  # as above
        )
    return pack_experts(
        experts_shape(module, cpu_weights(weights), group),
        experts,
        gate_bias=gate_bias,
        up_bias=up_bias,
        down_bias=down_bias,  # type: ignore[arg-type]  # as above
    )


def _experts(module: nn.Module) -> Iterator[ExpertWeights]:
    """Yield views of each expert's weights as [inputs, outputs]."""
    gate_up: torch.Tensor = module.gate_up_proj  # type: ignore[assignment]  # as above
    down: torch.Tensor = module.down_proj  # type: ignore[assignment]  # as above
    for first, second in zip(gate_up.detach(), down.detach(), strict=True):
        inward, outward = (first, second) if module.is_transposed else (first.T, second.T)
        gate, up = _halves(inward, interleaved=not module.is_concatenated)
        yield gate, up, outward


def _halves(both: torch.Tensor, *, interleaved: bool) -> tuple[torch.Tensor, torch.Tensor]:
    if interleaved:
        return both[..., ::2], both[..., 1::2]
    gate, up = both.chunk(2, dim=-1)
    return gate, up


def _release(module: nn.Module) -> None:
    """Free the module's own weights; the parameters stay, empty."""
    for name in ("gate_up_proj", "down_proj", "gate_up_proj_bias", "down_proj_bias"):
        parameter = getattr(module, name, None)
        if isinstance(parameter, nn.Parameter):
            parameter.requires_grad = False
            parameter.data = parameter.data.new_empty(0)
