"""Models in this process: routed experts, the decode loop, and loading of checkpoints.

Needs the ``local`` extra (torch, transformers); ``agentkit.model`` imports without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentkit.model.local.batch_policy import BatchPolicy
    from agentkit.model.local.chat import LocalModel
    from agentkit.model.local.loading import load_local
    from agentkit.model.local.prefix_store import PrefixPolicy
    from agentkit.model.local.weight_format import WeightFormat
    from agentkit.progress import Progress

__all__ = ["BatchPolicy", "LocalModel", "PrefixPolicy", "Progress", "WeightFormat", "load_local"]

_HOMES = {
    "BatchPolicy": "batch_policy",
    "LocalModel": "chat",
    "PrefixPolicy": "prefix_store",
    "Progress": "progress",
    "WeightFormat": "weight_format",
    "load_local": "loading",
}


def __getattr__(name: str) -> object:
    """Import the public names when they are first asked for: they need torch."""
    from importlib import import_module  # noqa: PLC0415  # keeps torch out of this import

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
