"""The model section's own rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentkit.errors import SpecError
from agentkit.spec import LocalModel, load_spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEAD = 'version: 1\nname: a\ndeployment: {principal: {name: A, kind: company, country: "NO"}}\n'


def test_prefixes_have_defaults_and_bounds(write: Callable[[str | bytes], Path]) -> None:
    model = load_spec(write(HEAD + "model: {source: local, path: ./w}\n"), environ={}).spec.model
    assert isinstance(model, LocalModel)
    assert (model.prefixes.memory_mib, model.prefixes.kv, model.prefixes.spill) == (
        1024,
        "auto",
        None,
    )
    for wrong in ("memory_mib: -1", "kv: int4", "spill_mib: 0, spill: ./s"):
        text = f"{HEAD}model: {{source: local, path: ./w, prefixes: {{{wrong}}}}}\n"
        with pytest.raises(SpecError, match=r"agent\.yaml:4"):
            load_spec(write(text), environ={})
