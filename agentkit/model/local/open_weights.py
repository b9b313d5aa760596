"""From a checkpoint's files to a model with all its weights, by the best way there is.

Streamed (see ``streaming``) where every weight is found by its name, which holds for Llama 4, the
families on the experts interface and most dense models; else transformers loads it, which needs
memory for two copies and cannot quantise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import transformers

from agentkit.errors import ModelError
from agentkit.model.local.adapters import MergedSource, resolve_adapters
from agentkit.model.local.fused import fuse_experts
from agentkit.model.local.packed_cache import PackedCache, checkpoint_identity
from agentkit.model.local.routing import route_experts
from agentkit.model.local.shards import ShardReader
from agentkit.model.local.skeleton import bare_model
from agentkit.model.local.sources import CheckpointWeights
from agentkit.model.local.streaming import Filled, fill_model, is_streamable, list_parts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from transformers import PreTrainedModel

    from agentkit.messages import JsonObject
    from agentkit.model.local.adapters import Adapter
    from agentkit.model.local.checkpoint import CheckpointFiles
    from agentkit.model.local.parts import Part
    from agentkit.model.local.weight_format import WeightFormat
    from agentkit.progress import Progress

__all__ = ["OpenedWeights", "open_weights"]

# Raised whenever the same checkpoint would be packed into other bytes.
_LAYOUT = 1


@dataclass(frozen=True, slots=True)
class OpenedWeights:
    """A model ready to run. ``filled``: what was packed, and what came from the cache."""

    model: PreTrainedModel
    filled: Filled
    streamed: bool


def open_weights(
    files: CheckpointFiles,
    architecture: str,
    dtype: str,
    chosen: WeightFormat,
    *,
    cache: Path | None,
    progress: Progress,
    adapters: Sequence[Adapter] = (),
) -> OpenedWeights:
    """Load everything. ``cache``: the directory for packed weights, None to keep none.

    ``adapters``: merged into the weights in this order.

    Raises ``ModelError`` with place and cure.
    """
    if "quantization_config" not in files.config:
        model = bare_model(files, architecture, dtype)
        with ShardReader(files.shards) as reader:
            tied = dict(getattr(model, "all_tied_weights_keys", None) or {})
            weights = CheckpointWeights(reader, place=str(files.directory), tied=tied)
            if is_streamable(model, weights):
                merged = MergedSource(reader, resolve_adapters(adapters, weights))
                weights = CheckpointWeights(merged, place=str(files.directory), tied=tied)
                parts = list_parts(model, weights, chosen)
                hashes = [adapter.sha256 for adapter in adapters]
                packed = (
                    _cache(cache, files, model, chosen, parts, adapters=hashes, progress=progress)
                    if cache is not None
                    else None
                )
                filled = fill_model(model, weights, parts, cache=packed, progress=progress)
                return OpenedWeights(model, filled, streamed=True)
    asked = [*([chosen.describe()] if chosen.describe() else []), *(["adapters"] * bool(adapters))]
    if asked:
        raise ModelError(
            f"{architecture} cannot be loaded with {' and '.join(asked)}: not all of its weights"
            " are found in the files under known names, or they are quantised already",
            cure="leave weights, linears and adapters out, or check that the files belong to"
            " config.json",
            place=str(files.directory),
        )
    progress("load", 0, 1)
    model = _load_by_transformers(files, architecture, dtype)
    filled = Filled(routed=route_experts(model), fused=fuse_experts(model))
    progress("load", 1, 1)
    return OpenedWeights(model, filled, streamed=False)


def _cache(
    root: Path,
    files: CheckpointFiles,
    model: PreTrainedModel,
    chosen: WeightFormat,
    parts: Sequence[Part],
    *,
    adapters: list[str],
    progress: Progress,
) -> PackedCache:
    """Return the cache of this checkpoint in this format.

    ``parts`` differ with the same format: without a kernel, experts in bf16 are not packed.
    """
    identity: JsonObject = {
        "layout": _LAYOUT,
        "checkpoint": checkpoint_identity(files.shards, files.config),
        "class": type(model).__name__,
        "dtype": str(model.dtype),
        "experts": chosen.experts,
        "linears": chosen.linears,
        "group": chosen.group,
        "adapters": [*adapters],
        "parts": [repr(part) for part in parts],
    }
    return PackedCache(root, type(model).__name__, identity, progress)


def _load_by_transformers(files: CheckpointFiles, architecture: str, dtype: str) -> PreTrainedModel:
    """Let transformers build the model; refuse it where any weight was not in the files."""
    try:
        model, report = getattr(transformers, architecture).from_pretrained(
            files.directory,
            dtype="auto" if dtype == "auto" else getattr(torch, dtype),
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    except Exception as error:  # a garbled config surfaces as nearly any exception
        text = str(error).strip()
        said = text.splitlines()[0][:300] if text else "no message"
        raise ModelError(
            f"transformers cannot load it: {type(error).__name__}: {said}",
            cure="check that config.json and the weights belong together, and that there is"
            " memory for all weights",
            place=str(files.directory),
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"{len(missing)} weights are not in the files, {missing[0]} among them",
            cure="copy or download the model again; config.json must belong to these weights",
            place=str(files.directory),
        )
    for parameter in model.parameters():
        # Out of the mapped file: aligned memory reads faster, and no later write reaches it.
        parameter.data = parameter.data.clone()
    loaded: PreTrainedModel = model.eval()
    return loaded
