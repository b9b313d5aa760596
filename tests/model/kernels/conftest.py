"""A compiled library for these tests, and layers to run on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from agentkit.model.kernels import MoeShape, PackedExperts, Weighting, Weights, pack_experts
from agentkit.model.kernels.dispatch import KernelLibrary, library

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MakeLayer = "Callable[..., PackedExperts]"


@pytest.fixture
def kernel(built_kernels: None) -> Iterator[KernelLibrary]:
    """The library on the CPU's best instructions and two threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    loaded = library()
    assert loaded is not None
    assert loaded.use_level(loaded.best_level)
    yield loaded
    assert loaded.use_level(loaded.best_level)
    torch.set_num_threads(threads)


@pytest.fixture
def make_layer() -> Callable[..., PackedExperts]:
    """Random layers: experts whose outputs are of order one."""

    def make(
        *,
        hidden: int = 160,
        intermediate: int = 96,
        experts: int = 5,
        top_k: int = 1,
        weights: Weights = Weights.FLOAT32,
        group: int | None = None,
        shared: bool = True,
        weighting: Weighting = Weighting.INPUT,
        seed: int = 0,
        **more: object,
    ) -> PackedExperts:
        generator = torch.Generator().manual_seed(seed)
        shape = MoeShape(
            hidden,
            intermediate,
            experts,
            top_k,
            weights,
            (32 if group is None else group) if weights.quantised else 0,
            shared,
            weighting=weighting,
            **more,  # type: ignore[arg-type]  # keywords of MoeShape
        )

        def draw(rows: int, columns: int) -> torch.Tensor:
            return torch.randn(rows, columns, generator=generator) / rows**0.5

        matrices = [
            (draw(hidden, intermediate), draw(hidden, intermediate), draw(intermediate, hidden))
            for _ in range(shape.matrices)
        ]
        return pack_experts(shape, matrices, router=draw(experts, hidden))

    return make
