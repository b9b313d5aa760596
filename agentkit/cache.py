"""Where agentkit keeps what it builds: compiled guests, checkpoints."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["default_cache_directory"]


def default_cache_directory() -> Path:
    """Return ``AGENTKIT_CACHE``, or ``agentkit`` in the platform's cache directory."""
    if own := os.environ.get("AGENTKIT_CACHE"):
        return Path(own).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "agentkit"
    home = Path.home()
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "agentkit"
