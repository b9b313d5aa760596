"""The expert kernel as torch operators, and the two functions the models call.

Eager code takes the short way to the library; where torch compiles, exports, traces, transforms or
fakes, the same calls become ``agentkit::moe_experts`` and ``agentkit::moe_routed``, whose fakes
give the shapes.
Weights in a GPU's layout go to the Triton kernels. Inference only: there is no backward.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch._C._functorch import peek_interpreter_stack
from torch.jit._trace import is_tracing
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from .dispatch import library
from .gpu.layer import GpuExperts, GpuShape, GpuWeights
from .layer import Gate, MoeShape, PackedExperts, Weighting, Weights
from .reference import reference_experts, reference_routed

__all__ = ["experts_forward", "routed_forward"]

_DTYPES = frozenset({torch.float32, torch.bfloat16})


def experts_forward(
    x: torch.Tensor, ids: torch.Tensor, scores: torch.Tensor, packed: PackedExperts | GpuExperts
) -> torch.Tensor:
    """Send each token through its experts and return [tokens, hidden] in ``x``'s dtype.

    ``x``: [tokens, hidden] fp32 or bf16, on a GPU also fp16; ``ids``, ``scores``: [tokens, top_k].
    """
    if not _is_eager(x):
        out: torch.Tensor = torch.ops.agentkit.moe_experts(x, ids, scores, *_flatten(packed))
        return out
    return _experts(x, ids, scores, packed)


def routed_forward(
    x: torch.Tensor, packed: PackedExperts | GpuExperts
) -> tuple[torch.Tensor, torch.Tensor]:
    """Route in the kernel as Llama 4 does; return the output and the fp32 router logits.

    ``x``: [tokens, hidden] fp32 or bf16, on a GPU also fp16. The logits are [tokens, experts]; a
    tie goes to the lowest index, a score is the fp32 sigmoid of the logit.
    """
    if not _is_eager(x):
        out, logits = torch.ops.agentkit.moe_routed(x, *_flatten(packed))
        return out, logits
    return _routed(x, packed)


def _is_eager(x: torch.Tensor) -> bool:
    """Whether ``x`` is memory, and nothing records or replaces what is done with it."""
    return (
        not torch.compiler.is_compiling()
        and type(x) is torch.Tensor
        and not is_in_torch_dispatch_mode()
        and peek_interpreter_stack() is None
        and not is_tracing()  # type: ignore[no-untyped-call]  # torch has no type for it
    )


def _native_runs(x: torch.Tensor) -> bool:
    return x.is_cpu and x.dtype in _DTYPES


def _experts(
    x: torch.Tensor, ids: torch.Tensor, scores: torch.Tensor, packed: PackedExperts | GpuExperts
) -> torch.Tensor:
    if isinstance(packed, GpuExperts):
        from .gpu.launch import run_experts  # noqa: PLC0415 - Triton is an extra, loaded when used

        return run_experts(x, ids, scores, packed)
    native = library()
    if native is None or not _native_runs(x):
        return reference_experts(x, ids, scores, packed)
    return native.run(
        x.resolve_neg().contiguous(),
        ids.to(torch.int64).contiguous(),
        scores.to(torch.float32).contiguous(),
        packed,
    )


def _routed(
    x: torch.Tensor, packed: PackedExperts | GpuExperts
) -> tuple[torch.Tensor, torch.Tensor]:
    if isinstance(packed, GpuExperts):
        from .gpu.launch import run_routed  # noqa: PLC0415 - as above

        return run_routed(x, packed)
    native = library()
    if native is None or not _native_runs(x):
        return reference_routed(x, packed)
    return native.run_routed(x.resolve_neg().contiguous(), packed)


def _flatten(
    packed: PackedExperts | GpuExperts,
) -> tuple[list[torch.Tensor], list[int], list[float]]:
    """``packed`` as an operator can take it: tensors (empty for absent), numbers, and reals."""
    shape = packed.shape
    absent = packed.gate_up.new_empty(0)
    numbers = [
        shape.hidden,
        shape.intermediate,
        shape.experts,
        shape.top_k,
        shape.weights.value,
        shape.group,
        int(shape.shared),
        shape.gate.value,
        shape.weighting.value,
        int(isinstance(packed, GpuExperts)),
    ]
    tensors = [absent if tensor is None else tensor for tensor in packed.tensors]
    return tensors, numbers, [shape.gate_alpha, shape.gate_limit]


def _unflatten(
    tensors: list[torch.Tensor], numbers: list[int], reals: list[float]
) -> PackedExperts | GpuExperts:
    hidden, intermediate, experts, top_k, weights, group, shared, gate, weighting, gpu = numbers
    alpha, limit = reals
    plain = MoeShape(
        hidden,
        intermediate,
        experts,
        top_k,
        shared=bool(shared),
        gate=Gate(gate),
        weighting=Weighting(weighting),
        gate_alpha=alpha,
        gate_limit=limit,
    )
    gate_up, down, *rest = tensors
    scales, down_scales, bias, down_bias, router = (part if part.numel() else None for part in rest)
    parts = (gate_up, down, scales, down_scales, bias, down_bias, router)
    if gpu:
        return GpuExperts(GpuShape.of(plain, GpuWeights(weights), group), *parts)
    return PackedExperts(replace(plain, weights=Weights(weights), group=group), *parts)


@torch.library.custom_op("agentkit::moe_experts", mutates_args=())
def _moe_experts(  # noqa: PLR0917 - an operator's schema is positional
    x: torch.Tensor,
    ids: torch.Tensor,
    scores: torch.Tensor,
    tensors: list[torch.Tensor],
    numbers: list[int],
    reals: list[float],
) -> torch.Tensor:
    return _experts(x, ids, scores, _unflatten(tensors, numbers, reals))


@_moe_experts.register_fake
def _moe_experts_fake(  # noqa: PLR0917 - as above
    x: torch.Tensor,
    ids: torch.Tensor,  # noqa: ARG001 - a fake has the operator's signature
    scores: torch.Tensor,  # noqa: ARG001 - as above
    tensors: list[torch.Tensor],  # noqa: ARG001 - as above
    numbers: list[int],  # noqa: ARG001 - as above
    reals: list[float],  # noqa: ARG001 - as above
) -> torch.Tensor:
    return torch.empty_like(x)


@torch.library.custom_op("agentkit::moe_routed", mutates_args=())
def _moe_routed(
    x: torch.Tensor, tensors: list[torch.Tensor], numbers: list[int], reals: list[float]
) -> tuple[torch.Tensor, torch.Tensor]:
    return _routed(x, _unflatten(tensors, numbers, reals))


@_moe_routed.register_fake
def _moe_routed_fake(
    x: torch.Tensor,
    tensors: list[torch.Tensor],  # noqa: ARG001 - a fake has the operator's signature
    numbers: list[int],
    reals: list[float],  # noqa: ARG001 - as above
) -> tuple[torch.Tensor, torch.Tensor]:
    experts = numbers[2]
    return torch.empty_like(x), x.new_empty((x.shape[0], experts), dtype=torch.float32)
