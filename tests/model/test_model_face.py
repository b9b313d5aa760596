"""The room's public face: complete, and free of optional dependencies until they are needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

import agentkit.model

BLOCK_OPTIONAL = """
import sys
for name in ("torch", "transformers", "tokenizers", "llguidance", "numpy"):
    sys.modules[name] = None
import agentkit.model
from agentkit.errors import ModelError
for name in agentkit.model.__all__:
    if name not in {"ReplyGrammar", "ReplyMatcher"}:
        getattr(agentkit.model, name)
try:
    agentkit.model.ReplyGrammar
except ModelError as error:
    print(error)
"""


def test_every_public_name_is_there() -> None:
    for name in agentkit.model.__all__:
        assert getattr(agentkit.model, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = agentkit.model.Nothing


def test_it_imports_without_the_local_extra_and_says_what_is_missing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCK_OPTIONAL],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "agentkit-gated[local]" in done.stdout
