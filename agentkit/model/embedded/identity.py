"""What the embedded model is, known without torch: its name for the licence, its files' names."""

from __future__ import annotations

from typing import Final

from agentkit.model.embedded.wheel import WHEEL_VERSION

__all__ = ["ADAPTER_SHA256", "EMBEDDED_CHECKPOINT", "EMBEDDED_MODEL_ID"]

EMBEDDED_MODEL_ID: Final = "agentkit/smollm2-135m-upcycled"
"""Its id in the licence table and in reports."""

ADAPTER_SHA256: Final = "7f94d049d8f624e2dfaca7d6beae648e409aa36a64c6d548d6b9885704abe435"
"""SHA-256 of the adapter in the package."""

# Raised whenever the same wheel and adapter would be built into other files.
_RECIPE: Final = 2

EMBEDDED_CHECKPOINT: Final = f"smollm2-135m-tools-{WHEEL_VERSION}-{ADAPTER_SHA256[:12]}-{_RECIPE}"
"""Name of the built checkpoint's folder in the cache."""
