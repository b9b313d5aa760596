"""Where a plan finds a model's sizes: a folder, the hub client's cache, or the two built in.

What is covered: nothing is downloaded, no code of a model runs, no weight file is opened: sizes
come from config.json alone. What is not covered: whether a folder holds what its config.json says.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from agentkit.errors import ModelError
from agentkit.model.plan.shape import ModelShape, read_shape

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT_MODELS", "find_shape"]

_LLAMA4: Mapping[str, object] = MappingProxyType(
    {
        "vocab_size": 202_048,
        "hidden_size": 5120,
        "intermediate_size": 8192,
        "intermediate_size_mlp": 16_384,
        "num_hidden_layers": 48,
        "num_attention_heads": 40,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "num_experts_per_tok": 1,
        "attention_chunk_size": 8192,
        "tie_word_embeddings": False,
    }
)
_SCOUT = {
    "num_local_experts": 16,
    "interleave_moe_layer_step": 1,
    "max_position_embeddings": 10_485_760,
}
_MAVERICK = {
    "num_local_experts": 128,
    "interleave_moe_layer_step": 2,
    "max_position_embeddings": 1_048_576,
}

DEFAULT_MODELS = (
    "meta-llama/Llama-4-Scout-17B-16E-Instruct",
    "meta-llama/Llama-4-Maverick-17B-128E-Instruct",
)
"""What is planned where no model is named."""

_BUILT_IN = MappingProxyType(
    {
        DEFAULT_MODELS[0].casefold(): {**_LLAMA4, **_SCOUT},
        DEFAULT_MODELS[1].casefold(): {**_LLAMA4, **_MAVERICK},
    }
)


def find_shape(model: str) -> tuple[ModelShape, str]:
    """Return the sizes of ``model`` (a folder or a hub id) and where they were found.

    Raises ``ModelError`` where nothing is known of it without a download.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        path = folder / "config.json"
        return read_shape(_read(path), str(path)), str(folder)
    if (cached := _cached(model)) is not None:
        return read_shape(_read(cached), str(cached)), "the hub client's cache"
    if (known := _BUILT_IN.get(model.casefold())) is not None:
        return read_shape(known, model), "agentkit's own table"
    raise ModelError(
        "there is no such folder, and nothing of this model is in the hub client's cache",
        cure="give a folder with config.json; or fetch that one file:"
        f" hf download {model} config.json",
        place=model,
    )


def _cached(model: str) -> Path | None:
    try:
        from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 - of the local extra
        from huggingface_hub.errors import HFValidationError  # noqa: PLC0415 - as above
    except ModuleNotFoundError:
        return None
    try:
        found = try_to_load_from_cache(model, "config.json")
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


def _read(path: Path) -> Mapping[str, object]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"config.json cannot be read: {error}", cure="copy it again", place=str(path)
        ) from error
    if not isinstance(content, dict):
        raise ModelError("it holds no JSON object", cure="copy it again", place=str(path))
    return content
