"""LoRA adapters in peft's format, merged into the weights while these are read.

``W + scale * B @ A`` in fp32, rounded once to the format the weight is kept in; ``scale`` is
``lora_alpha / r``, or ``lora_alpha / sqrt(r)`` with rsLoRA, patterns of ranks and alphas included.

What is covered: only JSON and safetensors are read; the base model that the adapter names is the
one that is loaded; every tensor has its partner, its rank and a weight of the model that it fits;
whatever else a configuration asks for (DoRA, saved modules, biases ...) is refused, for leaving it
out would be another model; the SHA-256 of what was merged is reported.
What is not covered: whether the adapter makes the model better or safe, and its licence.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentkit.errors import ModelError
from agentkit.model.local.shards import ShardReader

if TYPE_CHECKING:
    from collections.abc import Iterable, KeysView, Mapping, Sequence

    import torch

    from agentkit.messages import JsonObject, JsonValue
    from agentkit.model.local.sources import CheckpointWeights, TensorSource

__all__ = ["Adapter", "Merge", "MergedSource", "open_adapter", "resolve_adapters"]

_TENSOR = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.default)?\.weight")
_PREFIXES = ("", "language_model.", "model.language_model.")
_REFUSED = (
    "alora_invocation_tokens",
    "fan_in_fan_out",
    "layer_replication",
    "lora_bias",
    "modules_to_save",
    "target_parameters",
    "trainable_token_indices",
    "use_dora",
    "use_qalora",
)
# Ways to initialise that change the base model's weights too.
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
_MATRIX = 2


@dataclass(frozen=True, slots=True)
class Merge:
    """One update of one weight: ``scale * b @ a``; ``a``: [rank, in], ``b``: [out, rank], fp32."""

    a: torch.Tensor
    b: torch.Tensor
    scale: float


@dataclass(frozen=True, slots=True)
class Adapter:
    """One adapter, read and checked. ``updates``: by the name of the module they are for."""

    directory: Path
    sha256: str
    rank: int
    updates: Mapping[str, Merge]


def open_adapter(directory: Path, *, base_names: Iterable[str]) -> Adapter:
    """Read ``directory``; ``base_names``: all names that the model to be loaded goes by.

    Raises ``ModelError`` with place and cure.
    """
    path = directory / "adapter_config.json"
    config = _read_config(path)
    _check_config(config, path)
    _check_base(config, tuple(base_names), path)
    weights = directory / "adapter_model.safetensors"
    if not weights.is_file():
        raise ModelError(
            "the adapter has no adapter_model.safetensors",
            cure="save it with peft's save_pretrained, which writes safetensors; pickles are not"
            " read, for they can run code",
            place=str(directory),
        )
    with ShardReader([weights]) as reader:
        pairs = _pairs(reader, weights)
    updates = {module: _update(module, *pair, config, path) for module, pair in pairs.items()}
    _check_targets(config, updates.keys(), path)
    digest = hashlib.sha256(path.read_bytes())
    with weights.open("rb") as file:
        digest.update(hashlib.file_digest(file, "sha256").digest())
    return Adapter(directory, digest.hexdigest(), _rank(config), updates)


def resolve_adapters(
    adapters: Sequence[Adapter], weights: CheckpointWeights
) -> dict[str, list[Merge]]:
    """Return the updates by the name of the checkpoint's tensor; an unknown target is an error."""
    found: dict[str, list[Merge]] = {}
    for adapter in adapters:
        for module, merge in adapter.updates.items():
            names = [f"{module.removeprefix(prefix)}.weight" for prefix in _PREFIXES]
            names += [f"model.{module.removeprefix('model.language_model.')}.weight"]
            name = next((one for one in names if weights.holds(one)), None)
            stored = weights.find(name) if name is not None else None
            wanted = (len(merge.b), merge.a.shape[1])
            if stored is None or weights.shape(stored) != wanted:
                is_there = "is no weight" if stored is None else "has another shape"
                raise ModelError(
                    f"the adapter's target {module} {is_there} of this model",
                    cure="use an adapter that was trained for this very model; one for a fused or"
                    " tied weight must be merged with peft and saved as a model of its own",
                    place=str(adapter.directory),
                )
            found.setdefault(stored, []).append(merge)
    return found


class MergedSource:
    """A source of tensors whose updates are added as they are read, in fp32."""

    def __init__(self, source: TensorSource, merges: Mapping[str, Sequence[Merge]]) -> None:
        self._source = source
        self._merges = merges

    @property
    def names(self) -> KeysView[str]:
        """The names of all tensors."""
        return self._source.names

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return self._source.shape(name)

    def read(self, name: str, index: int | None = None) -> torch.Tensor:
        """Return a tensor, or its part ``[index]``; fp32 where something was merged."""
        tensor = self._source.read(name, index)
        for merge in self._merges.get(name, ()):
            b = merge.b if index is None else merge.b[index]
            tensor = tensor.float() + merge.scale * (b @ merge.a)
        return tensor


def _read_config(path: Path) -> JsonObject:
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"the adapter's configuration cannot be read: {error}",
            cure="give a folder with adapter_config.json and adapter_model.safetensors",
            place=str(path),
        ) from error
    if not isinstance(config, dict):
        raise ModelError("it holds no JSON object", cure="copy the file again", place=str(path))
    return config


def _check_config(config: JsonObject, path: Path) -> None:
    """Refuse whatever is more than plain LoRA."""
    said = str(config.get("peft_type", "")).upper()
    asked = [key for key in _REFUSED if config.get(key)]
    if config.get("bias", "none") != "none":
        asked.append("bias")
    if str(config.get("init_lora_weights", "")).lower().startswith(_CHANGES_BASE):
        asked.append("init_lora_weights")
    if said != "LORA" or asked:
        what = f"asks for {', '.join(asked)}" if asked else f"is of the type {said or 'unknown'}"
        raise ModelError(
            f"the adapter {what}; plain LoRA on linear layers is what can be merged here",
            cure="merge it with peft (merge_and_unload) and save the result as a model of its own",
            place=str(path),
        )
    alpha = config.get("lora_alpha")
    if _rank(config) < 1 or not _is_finite(alpha):
        raise ModelError(
            "r must be a whole number of at least 1, and lora_alpha a number",
            cure="copy the adapter again as peft saved it",
            place=str(path),
        )


def _check_base(config: JsonObject, names: tuple[str, ...], path: Path) -> None:
    """Compare the last part of each name, for folders and hubs put others before it."""
    stated = str(config.get("base_model_name_or_path") or "")
    known = {Path(name).name.casefold() for name in names if name}
    if Path(stated).name.casefold() not in known or not stated:
        raise ModelError(
            f"the adapter was made for {stated or 'a base model it does not name'}, and the model"
            f" is {' or '.join(sorted(name for name in names if name)) or 'unnamed'}",
            cure="load the base model it was trained on; for a local folder of it, name the base"
            " as base_model in agent.yaml",
            place=str(path),
        )


def _pairs(reader: ShardReader, path: Path) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    halves: dict[str, dict[str, torch.Tensor]] = {}
    for name in reader.names:
        match = _TENSOR.fullmatch(name)
        if match is None:
            raise ModelError(
                f"the adapter holds {name}, which is no LoRA matrix of a linear layer",
                cure="merge it with peft (merge_and_unload) and save the result as a model",
                place=str(path),
            )
        halves.setdefault(match[1], {})[match[2]] = reader.read(name).float()
    alone = sorted(module for module, found in halves.items() if len(found) != _MATRIX)
    if alone or not halves:
        raise ModelError(
            f"the adapter has half of the update of {alone[0]}" if alone else "it is empty",
            cure="copy the adapter again",
            place=str(path),
        )
    return {module: (found["A"], found["B"]) for module, found in halves.items()}


def _update(module: str, a: torch.Tensor, b: torch.Tensor, config: JsonObject, path: Path) -> Merge:
    """Check one pair against the rank the configuration gives it; return it with its scale."""
    rank = int(_by_pattern(config, "rank_pattern", module, _rank(config), path))
    alpha = _by_pattern(config, "alpha_pattern", module, float(str(config["lora_alpha"])), path)
    if a.dim() != _MATRIX or b.dim() != _MATRIX or not len(a) == b.shape[1] == rank > 0:
        raise ModelError(
            f"the update of {module} is {list(b.shape)} by {list(a.shape)}, the rank is {rank}",
            cure="copy adapter_config.json and adapter_model.safetensors of one and the same run",
            place=str(path),
        )
    return Merge(a, b, alpha / (math.sqrt(rank) if config.get("use_rslora") else rank))


def _check_targets(config: JsonObject, modules: Iterable[str], path: Path) -> None:
    """Refuse an adapter whose matrices for a listed target were lost on the way."""
    listed = config.get("target_modules")
    if not isinstance(listed, list):
        return
    known = tuple(modules)
    lost = [one for one in listed if not any(f".{module}".endswith(f".{one}") for module in known)]
    if lost:
        raise ModelError(
            f"the adapter names {', '.join(map(str, lost))} among its target_modules and has no"
            " matrices for it",
            cure="copy the adapter again, whole",
            place=str(path),
        )


def _by_pattern(config: JsonObject, key: str, module: str, default: float, path: Path) -> float:
    """Return what a pattern gives this module, matched as peft does: at the name's end."""
    patterns = config.get(key)
    if not isinstance(patterns, dict):
        return default
    for pattern, value in patterns.items():
        try:
            matches = re.fullmatch(rf"(.*\.)?({pattern})", module)
        except (re.error, RecursionError, OverflowError) as error:
            matches, value = None, str(error)  # noqa: PLW2901  what is wrong with it
        if not _is_finite(value):
            raise ModelError(
                f"{key} gives {pattern!r} {value!r}: it must be a pattern and a number",
                cure="copy the adapter again as peft saved it",
                place=str(path),
            )
        if matches:
            return float(str(value))
    return default


def _is_finite(value: JsonValue) -> bool:
    """Whether it is a number that a float holds; NaN is none."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) <= sys.float_info.max
    )


def _rank(config: JsonObject) -> int:
    rank = config.get("r")
    return rank if isinstance(rank, int) and not isinstance(rank, bool) else 0
