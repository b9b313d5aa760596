"""The embedded model's adapter: what training on tool use added, and how it joins the weights.

The file holds, for each linear layer by its GGUF name, ``down`` [16, in] and ``up`` [out, 16] in
bf16; the trained scale is already in ``up``. Its SHA-256 is pinned (``identity.py``), so a package
whose adapter was exchanged does not start. Data, command, figures and limits: ``tool_use.md``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentkit.errors import WeightsMismatch
from agentkit.model.embedded.identity import ADAPTER_SHA256
from agentkit.model.embedded.wheel import sha256_of

if TYPE_CHECKING:
    from agentkit.model.embedded.gguf_file import DenseModel
    from agentkit.progress import Progress

__all__ = ["ADAPTER", "merge_adapter", "merge_embedded_adapter"]

ADAPTER: Final = Path(__file__).with_name("tool_use.safetensors")


def merge_embedded_adapter(dense: DenseModel, *, progress: Progress) -> DenseModel:
    """Return ``dense`` with the shipped adapter in its weights.

    Raises ``WeightsMismatch`` where the file is not the pinned one.
    """
    found = sha256_of(ADAPTER, progress=progress) if ADAPTER.is_file() else "missing"
    if found != ADAPTER_SHA256:
        raise WeightsMismatch(
            f"the embedded model's adapter is not the one of this version: SHA-256 {found}",
            cure="install agentkit-gated again; the file belongs to the package",
            place=str(ADAPTER),
        )
    return merge_adapter(dense, ADAPTER)


def merge_adapter(dense: DenseModel, path: Path) -> DenseModel:
    """Return ``dense`` with the adapter of ``path`` added to its weights, in fp32."""
    from safetensors.torch import load_file  # noqa: PLC0415  # only a build needs it

    state = load_file(path)
    weights = dict(dense.weights)
    for name in {key.rpartition(".")[0] for key in state}:
        added = state[f"{name}.up"].float() @ state[f"{name}.down"].float()
        weights[f"{name}.weight"] = weights[f"{name}.weight"] + added
    return replace(dense, weights=weights)
