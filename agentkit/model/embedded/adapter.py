"""The tool-use adapter: low-rank additions that are merged into the dense weights.

For each linear layer, by its GGUF name, the file holds ``down`` [rank, in] and ``up`` [out, rank]
in bf16; the merged weight is ``W + up @ down``, computed in fp32. How it was trained stands in
``MODEL_CARD.md`` beside it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import load_file

from agentkit.errors import ModelError
from agentkit.model.embedded.wheel import sha256_of
from agentkit.model.local.progress import silent

if TYPE_CHECKING:
    from agentkit.model.embedded.gguf_file import DenseModel

__all__ = ["ADAPTER", "adapter_sha256", "merge_adapter"]

ADAPTER = Path(__file__).with_name("adapter.safetensors")


def adapter_sha256(path: Path = ADAPTER) -> str:
    """Return the file's SHA-256; ``ModelError`` where it is missing."""
    try:
        return sha256_of(path, progress=silent)
    except OSError as error:
        raise ModelError(
            f"the embedded model's adapter cannot be read: {error.strerror}",
            cure="install agentkit again: the file is part of it",
            place=str(path),
        ) from error


def merge_adapter(dense: DenseModel, path: Path = ADAPTER) -> DenseModel:
    """Return ``dense`` with the adapter in its weights. Raises ``ModelError`` if they do not fit."""
    adapter = load_file(path)
    weights = dict(dense.weights)
    for name in sorted({key.rpartition(".")[0] for key in adapter}):
        up, down = adapter[f"{name}.up"].float(), adapter[f"{name}.down"].float()
        weight = weights.get(f"{name}.weight")
        if weight is None or weight.shape != (len(up), down.shape[1]):
            raise ModelError(
                f"the adapter's layer {name} is not one of the model's",
                cure="install agentkit again: adapter and model belong together",
                place=str(path),
            )
        weights[f"{name}.weight"] = weight + up @ down
    return replace(dense, weights=weights)
