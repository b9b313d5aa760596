"""``python -m agentkit.model.kernels``: build the kernel, test it against torch, say what it is."""

from __future__ import annotations

import sys

import torch
from rich.console import Console
from rich.table import Table

from .build import BuildFailed, build
from .dispatch import LibraryUnusable, open_library
from .layer import MoeShape, PackedExperts, Weighting, Weights
from .packing import pack_experts
from .reference import reference_routed

__all__ = ["main"]

_TOLERANCE = {
    Weights.FLOAT32: 1e-4,
    Weights.BFLOAT16: 1e-2,
    Weights.INT8: 1e-2,
    Weights.INT4: 1e-2,
}


def main() -> int:
    """Return 0 if the kernel was built and agrees with torch on every instruction set, else 5."""
    console = Console()
    try:
        path = build()
        kernel = open_library(path)
    except (BuildFailed, LibraryUnusable) as reason:
        console.print(f"The expert kernel is not usable: {reason}", markup=False)
        console.print("Experts run in plain torch: correct, and slower.")
        return 5
    table = Table("instructions", *(weights.name.lower() for weights in Weights))
    failed = False
    for level in ("amx", "avx512_bf16", "avx512", "avx2", "portable"):
        if not kernel.use_level(level):
            table.add_row(level, *["not on this CPU"] * len(Weights))
            continue
        errors = {}
        for weights in Weights:
            x, packed = _example(weights)
            out, _ = kernel.run_routed(x, packed)
            exact, _ = reference_routed(x, packed)
            errors[weights] = float((out - exact).norm() / exact.norm())
        failed |= any(error > _TOLERANCE[weights] for weights, error in errors.items())
        table.add_row(level, *(f"{error:.1e}" for error in errors.values()))
    console.print(f"{path.name}: best {kernel.best_level}, threads: {kernel.team}", markup=False)
    console.print("Error against torch, relative, with the same weights:")
    console.print(table)
    return 5 if failed else 0


def _example(weights: Weights) -> tuple[torch.Tensor, PackedExperts]:
    generator = torch.Generator().manual_seed(0)
    shape = MoeShape(
        hidden=160,
        intermediate=96,
        experts=4,
        top_k=1,
        weights=weights,
        group=32 if weights.quantised else 0,
        shared=True,
        weighting=Weighting.INPUT,
    )

    def draw(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=generator) / 8

    experts = [(draw(160, 96), draw(160, 96), draw(96, 160)) for _ in range(shape.matrices)]
    return draw(33, 160) * 8, pack_experts(shape, experts, router=draw(4, 160))


if __name__ == "__main__":
    sys.exit(main())
