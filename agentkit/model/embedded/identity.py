"""What the embedded model is, known without torch: its name for the licence, its files' names."""

from __future__ import annotations

from typing import Final

from agentkit.model.embedded.wheel import WHEEL_VERSION

__all__ = ["ADAPTER_SHA256", "EMBEDDED_CHECKPOINT", "EMBEDDED_MODEL_ID"]

EMBEDDED_MODEL_ID: Final = "agentkit/smollm2-135m-upcycled"
"""Its id in the licence table and in reports."""

ADAPTER_SHA256: Final = "24b34e38a1bd9906046ea1940dc98007782e36ea3b6d89914ad5e4400932b10a"
"""SHA-256 of the adapter in the package."""

# Raised whenever the same wheel and adapter would be built into other files.
_RECIPE: Final = 2

EMBEDDED_CHECKPOINT: Final = f"smollm2-135m-tools-{WHEEL_VERSION}-{ADAPTER_SHA256[:12]}-{_RECIPE}"
"""Name of the built checkpoint's folder in the cache."""
