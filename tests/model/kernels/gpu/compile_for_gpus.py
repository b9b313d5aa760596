"""A program, not a test: compile every kernel that a layer launches for GPUs that are not here.

The launch code runs on CPU tensors as it would on a GPU's, but a launch compiles its kernel for
each target (down to machine code; that needs no GPU) and computes nothing. One line a kernel:
name, target, bytes of shared memory. Arguments name the layers to compile, by default all.
"""

from __future__ import annotations

import sys

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, make_backend
from triton.runtime.jit import JITFunction, create_function_from_signature

from agentkit.model.kernels import Gate, Weighting
from agentkit.model.kernels.gpu import GpuExperts, GpuShape, GpuWeights, launch, pack_for_gpu

AMPERE, HOPPER = GPUTarget("cuda", 80, 32), GPUTarget("cuda", 90, 32)
LAYERS = {
    "routed-bf16": (GpuWeights.BFLOAT16, torch.bfloat16, 1, True, 900, [AMPERE, HOPPER]),
    "biased-fp8": (GpuWeights.FLOAT8, torch.bfloat16, 4, False, 3, [AMPERE]),
    "routed-int8": (GpuWeights.INT8, torch.bfloat16, 1, True, 3, [AMPERE, HOPPER]),
    "biased-fp32": (GpuWeights.FLOAT32, torch.float32, 2, False, 70, [AMPERE]),
    "biased-fp16": (GpuWeights.FLOAT16, torch.float16, 2, False, 900, [AMPERE, HOPPER]),
    "biased-fp8-fp16": (GpuWeights.FLOAT8, torch.float16, 2, False, 900, [HOPPER]),
    "biased-int8-fp32": (GpuWeights.INT8, torch.float32, 2, False, 900, [AMPERE, HOPPER]),
}


def compile_for(targets: list[GPUTarget]) -> None:
    """Make a launch compile for ``targets`` instead of running."""

    def compile_only(
        self: JITFunction, *args: object, grid: object, warmup: bool, **kwargs: object
    ) -> None:
        for target in targets:
            backend = make_backend(target)
            binder = create_function_from_signature(self.signature, self.params, backend)
            bound, specialization, options = binder(*args, **kwargs, debug=False)
            options, signature, constants, attributes = self._pack_args(
                backend, kwargs, bound, specialization, options
            )
            source = ASTSource(self, signature, constants, attributes)
            made = triton.compile(source, target=target, options=options.__dict__)
            # At once: Triton forks, and a child must not inherit lines to write.
            print(self.fn.__name__, target.arch, made.metadata.shared, flush=True)  # noqa: T201 - a program's output

    JITFunction.run = compile_only
    # The tensors are on the CPU and stay there.
    launch.check_interpreter = lambda: None


def make_layer(weights: GpuWeights, top_k: int, routed: bool) -> GpuExperts:
    hidden, inner, experts = 256, 192, 4
    shape = GpuShape(
        hidden, inner, experts, top_k, weights, 64 if weights.quantised else 0, routed,
        gate=Gate.SWIGLU if routed else Gate.CLAMPED_SWIGLU,
        weighting=Weighting.INPUT if routed else Weighting.OUTPUT,
        gate_alpha=1.702, gate_limit=7.0,
    )  # fmt: skip
    one = (torch.zeros(hidden, inner), torch.zeros(hidden, inner), torch.zeros(inner, hidden))
    if routed:
        return pack_for_gpu(shape, [one] * shape.matrices, router=torch.zeros(experts, hidden))
    bias = torch.zeros(experts, inner)
    return pack_for_gpu(
        shape, [one] * experts, gate_bias=bias, up_bias=bias, down_bias=torch.zeros(experts, hidden)
    )


def main(names: list[str]) -> None:
    for name in names or LAYERS:
        weights, dtype, top_k, routed, tokens, targets = LAYERS[name]
        compile_for(targets)
        packed = make_layer(weights, top_k, routed)
        x = torch.zeros(tokens, packed.shape.hidden, dtype=dtype)
        if routed:
            launch.run_routed(x, packed)
        else:
            ids = torch.zeros(tokens, top_k, dtype=torch.int64)
            launch.run_experts(x, ids, torch.zeros(tokens, top_k), packed)


if __name__ == "__main__":
    main(sys.argv[1:])
