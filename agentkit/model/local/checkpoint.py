"""Look at a checkpoint directory before anything of it is loaded.

What is covered: only JSON and safetensors are ever read; a directory whose weights are pickles is
refused, code that it ships is ignored; a missing, truncated or garbled file is named with its
place and cure before memory is allocated.
What is not covered: whether the weights are the ones their author published.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from agentkit.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from agentkit.messages import JsonObject

__all__ = ["CheckpointFiles", "inspect_checkpoint"]

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_INDEX = "model.safetensors.index.json"


@dataclass(frozen=True, slots=True)
class CheckpointFiles:
    """What a checkpoint says of itself: architecture, configuration as JSON, files of weights."""

    directory: Path
    architecture: str
    config: JsonObject
    shards: tuple[Path, ...]


def inspect_checkpoint(directory: Path) -> CheckpointFiles:
    """Check that everything is there and readable; raises ``ModelError``."""
    if not directory.is_dir():
        raise ModelError(
            "there is no such model directory",
            cure="give a directory with config.json, tokenizer.json and *.safetensors, or a hub id"
            " such as org/name",
            place=str(directory),
        )
    config = _read_json(directory / "config.json")
    architectures = config.get("architectures")
    if not isinstance(architectures, list) or not architectures:
        raise ModelError(
            "config.json names no architecture",
            cure='it needs an entry such as "architectures": ["Llama4ForCausalLM"]',
            place=str(directory / "config.json"),
        )
    _read_json(directory / "tokenizer.json")
    shards = tuple(_shards(directory))
    for shard in shards:
        _check_shard(shard)
    return CheckpointFiles(directory, str(architectures[0]), config, shards)


def _read_json(path: Path) -> JsonObject:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ModelError(
            f"{path.name} is missing",
            cure="copy the whole model directory again; slow tokenizers without tokenizer.json"
            " must be converted with transformers first",
            place=str(path.parent),
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"it is not readable as JSON: {error}", cure="copy the file again", place=str(path)
        ) from error
    if not isinstance(content, dict):
        raise ModelError("it holds no JSON object", cure="copy the file again", place=str(path))
    return content


def _shards(directory: Path) -> list[Path]:
    if (directory / "model.safetensors").is_file():
        return [directory / "model.safetensors"]
    if (directory / _INDEX).is_file():
        listed = _read_json(directory / _INDEX).get("weight_map")
        names = {str(name) for name in listed.values()} if isinstance(listed, dict) else set()
        if names and all("/" not in name and name.endswith(".safetensors") for name in names):
            return [directory / name for name in sorted(names)]
        raise ModelError(
            "the index names no safetensors files of this directory",
            cure="copy the model again",
            place=str(directory / _INDEX),
        )
    pickles = sorted(path.name for path in directory.iterdir() if path.suffix in _PICKLES)
    if pickles:
        raise ModelError(
            f"its weights are pickles ({', '.join(pickles[:3])}), which can run code when loaded",
            cure="use a revision with safetensors, or convert it on a machine you can lose:"
            " load it with transformers there and call save_pretrained",
            place=str(directory),
        )
    raise ModelError(
        "there are no weights (model.safetensors or its index)",
        cure="download the model again, weights included",
        place=str(directory),
    )


def _check_shard(path: Path) -> None:
    try:
        with safe_open(path, framework="pt") as file:
            file.keys()
    except FileNotFoundError:
        raise ModelError(
            f"the shard {path.name} is missing", cure="copy it again", place=str(path.parent)
        ) from None
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"the weights are truncated or damaged: {error}",
            cure="copy or download the file again",
            place=str(path),
        ) from error
