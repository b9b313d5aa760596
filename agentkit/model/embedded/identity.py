"""The embedded model's name, known without torch: the licence is decided before anything loads."""

from __future__ import annotations

__all__ = ["EMBEDDED_MODEL_ID"]

EMBEDDED_MODEL_ID = "agentkit/smollm2-135m-upcycled"
"""Its id in the licence table and in reports."""
