"""The expert kernel on a GPU: Triton, with the numbers of the CPU's kernel.

Importing this package imports neither torch nor Triton; ``launch`` and the modules under it import
Triton, and only the first call does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .layer import GpuExperts, GpuShape, GpuWeights
    from .packing import pack_for_gpu

__all__ = ["GpuExperts", "GpuShape", "GpuWeights", "pack_for_gpu"]

_MODULES = {
    "GpuExperts": "layer",
    "GpuShape": "layer",
    "GpuWeights": "layer",
    "pack_for_gpu": "packing",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
