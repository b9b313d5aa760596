"""The fused expert kernel: C++ where it is built, the same numbers in plain torch where not.

Importing this package imports neither torch nor the compiled library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .dispatch import library
    from .experts import use_fused_experts
    from .layer import Gate, MoeShape, PackedExperts, Weighting, Weights
    from .ops import experts_forward, routed_forward
    from .packing import pack_experts, unpack_expert

__all__ = [
    "Gate",
    "MoeShape",
    "PackedExperts",
    "Weighting",
    "Weights",
    "experts_forward",
    "library",
    "pack_experts",
    "routed_forward",
    "unpack_expert",
    "use_fused_experts",
]

_MODULES = {
    "library": "dispatch",
    "use_fused_experts": "experts",
    "Gate": "layer",
    "MoeShape": "layer",
    "PackedExperts": "layer",
    "Weighting": "layer",
    "Weights": "layer",
    "experts_forward": "ops",
    "routed_forward": "ops",
    "pack_experts": "packing",
    "unpack_expert": "packing",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
