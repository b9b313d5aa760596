"""Fill a model from its shards unit by unit: read, pack or quantise, let go, take the next.

At no time is there more in memory than the finished units and the one in the making; with a packed
cache, finished units are mapped files, which the system may drop and read again.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from agentkit.errors import ModelError
from agentkit.model.kernels.dispatch import library
from agentkit.model.kernels.experts import switch_to_kernel
from agentkit.model.kernels.layer import Weights
from agentkit.model.local.parts import ExpertsPart, LinearPart, RoutedPart, TensorPart
from agentkit.model.local.routing import RoutedMoe
from agentkit.model.local.skeleton import put_tensor
from agentkit.progress import silent

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from agentkit.model.local.packed_cache import PackedCache
    from agentkit.model.local.parts import Part
    from agentkit.model.local.sources import CheckpointWeights
    from agentkit.model.local.weight_format import WeightFormat
    from agentkit.progress import Progress

__all__ = ["Filled", "fill_model", "is_streamable", "list_parts"]

_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")
_ROUTERS = frozenset({"router", "gate", "shared_expert_gate"})
_OWN = {torch.float32: Weights.FLOAT32, torch.bfloat16: Weights.BFLOAT16}


@dataclass
class Filled:
    """What was done. ``from_cache``: units that were mapped; ``packed``: units that were made."""

    nbytes: int = 0
    routed: int = 0
    fused: int = 0
    from_cache: int = 0
    packed: int = 0


def is_streamable(model: nn.Module, weights: CheckpointWeights) -> bool:
    """Whether every weight of the model is one that can be found in the checkpoint."""
    return all(weights.has(name) for name in model.state_dict())


def fill_model(
    model: PreTrainedModel,
    weights: CheckpointWeights,
    parts: list[Part],
    *,
    cache: PackedCache | None = None,
    progress: Progress = silent,
) -> Filled:
    """Fill a bare model (see ``skeleton``) from its ``list_parts``.

    Raises ``ModelError`` with place and cure.
    """
    done = Filled(routed=sum(isinstance(module, RoutedMoe) for module in model.modules()))
    done.fused = sum(isinstance(part, RoutedPart | ExpertsPart) for part in parts)
    total, at = sum(part.nbytes for part in parts), 0
    progress("load", 0, total)
    with ExitStack() as stack:
        if cache is not None:
            stack.enter_context(cache)
        for unit, members in _units(parts).items():
            tensors = cache.load(unit) if cache is not None else None
            if tensors is not None:
                done.from_cache += 1
            else:
                done.packed += 1
                tensors, read = {}, at
                for part in members:
                    tensors |= part.read(weights)
                    read += part.nbytes
                    progress("load", min(read, total - 1), total)
                if cache is not None and cache.store(unit, tensors):
                    tensors = cache.load(unit) or tensors
            for part in members:
                part.put(model, tensors)
            at += sum(part.nbytes for part in members)
    progress("load", total, total)
    done.nbytes = total
    _tie(model, parts)
    if any(isinstance(part, ExpertsPart) for part in parts):
        switch_to_kernel(model)
    return done


def list_parts(
    model: PreTrainedModel, weights: CheckpointWeights, chosen: WeightFormat
) -> list[Part]:
    """Return what the model is filled from, in the order of its modules.

    Raises ``ModelError`` where ``chosen`` asks for experts that the model does not have.
    """
    own = chosen.expert_weights or _OWN.get(model.dtype)
    packs = own is not None and (own.quantised or library() is not None)
    parts: list[Part] = []
    claimed: list[str] = []
    for name, module in model.named_modules():
        part: Part | None = None
        if packs and own is not None and isinstance(module, RoutedMoe):
            part = RoutedPart.of(name, module, own, chosen.group)
        elif packs and own is not None and hasattr(module, "is_concatenated"):
            part = ExpertsPart.of(name, module, own, chosen.group)
        elif type(module) is nn.Linear and name.rpartition(".")[2] not in _ROUTERS:
            linear = chosen.linear_weights(name)
            inside = any(name.startswith(one) for one in claimed)
            if linear is not None and not inside:
                part = LinearPart.of(name, module, linear, chosen.group)
        if part is not None:
            parts.append(part)
            claimed.append(f"{name}.")
    if chosen.experts in {"int8", "int4"} and not any(
        isinstance(part, RoutedPart | ExpertsPart) for part in parts
    ):
        raise ModelError(
            f"{type(model).__name__} has no experts that can be {chosen.experts}",
            cure="leave weights out; linears: int8 makes the linear layers of any model smaller",
        )
    for name, tensor in model.state_dict().items():
        tied = name in _tied(model) and not weights.holds(name)
        if not tied and not any(name.startswith(one) for one in claimed):
            parts.append(TensorPart(name, tuple(tensor.shape), tensor.dtype))
    return parts


def _units(parts: list[Part]) -> dict[str, list[Part]]:
    """Group the parts by decoder layer; what belongs to none comes last."""
    units: dict[str, list[Part]] = {}
    for part in parts:
        layer = _LAYER.search(f"{part.name}.")
        units.setdefault(f"layer-{int(layer[1]):04d}" if layer else "rest", []).append(part)
    return dict(sorted(units.items()))


def _tied(model: PreTrainedModel) -> dict[str, str]:
    return dict(getattr(model, "all_tied_weights_keys", None) or {})


def _tie(model: PreTrainedModel, parts: list[Part]) -> None:
    """Let tied weights be one, except where one of them was packed."""
    read = {part.name for part in parts}
    for target, source in _tied(model).items():
        if target not in read and target.removesuffix(".weight") not in read:
            put_tensor(model, target, model.get_parameter(source).data)
