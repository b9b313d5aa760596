"""The keys and values of a prefix, taken out of transformers' cache, cut, and put back.

A snapshot is references: neither transformers' layers nor ``kv_buffers`` write again into what they
handed out, so taking one copies nothing. It can be cut to its first ``m`` tokens where every layer
still holds what token ``m`` may look at:

- a full layer holds everything;
- a sliding layer holds its last ``window - 1`` tokens, and the cut would need the same many before
  ``m``: only possible while nothing was dropped;
- a chunked layer (Llama 4) looks no further back than the start of its chunk, so what was dropped
  before that start is not needed: zeros stand in its place, and the mask hides them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from agentkit.model.local.kv_buffers import BufferedLayer, BufferedWindowLayer, KvBuffers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedConfig

__all__ = ["KvSnapshot", "LayerKind", "layer_kinds", "take_snapshot"]

_INT8 = 127
_KNOWN = {DynamicLayer, DynamicSlidingWindowLayer, BufferedLayer, BufferedWindowLayer}


@dataclass(frozen=True, slots=True)
class LayerKind:
    """How far back a layer looks. ``window``: 0 for everything."""

    window: int
    chunked: bool

    def first_needed(self, length: int) -> int:
        """Return the first token that the one after ``length`` tokens may look at."""
        if not self.window:
            return 0
        if self.chunked:
            return length // self.window * self.window
        return max(length - self.window + 1, 0)

    def first_held(self, length: int) -> int:
        """Return the first token that is still there after ``length`` tokens."""
        return max(length - self.window + 1, 0) if self.window else 0


@dataclass(frozen=True, slots=True)
class KvSnapshot:
    """``ids``: the tokens; ``tensors``: keys and values by layer, in int8 with scales if asked.

    ``0.k``, ``0.v``: [1, heads, tokens, dim]; with int8 also ``0.k.scale``: fp32 [1, heads,
    tokens, 1]. ``dtype``: the format they are put back in.
    """

    ids: tuple[int, ...]
    kinds: tuple[LayerKind, ...]
    tensors: dict[str, torch.Tensor]
    dtype: torch.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    def can_cut(self, tokens: int) -> bool:
        """Whether every layer holds what a continuation after ``tokens`` tokens looks at."""
        whole = len(self.ids)
        return tokens == whole or all(
            kind.first_held(whole) <= kind.first_needed(tokens) for kind in set(self.kinds)
        )

    def cut(self, tokens: int) -> KvSnapshot:
        """Return the first ``tokens`` tokens; ask ``can_cut`` first."""
        whole = len(self.ids)
        if tokens == whole:
            return self
        found: dict[str, torch.Tensor] = {}
        for name, tensor in self.tensors.items():
            kind = self.kinds[int(name.partition(".")[0])]
            held, wanted = kind.first_held(whole), kind.first_held(tokens)
            part = tensor[:, :, max(wanted - held, 0) : tokens - held]
            missing = (0, 0, max(min(held, tokens) - wanted, 0), 0)
            found[name] = torch.nn.functional.pad(part, missing) if any(missing) else part
        return KvSnapshot(self.ids[:tokens], self.kinds, found, self.dtype)

    def in_int8(self) -> KvSnapshot:
        """Return it with one scale for each token of each head: half of bf16, within 1/254."""
        found: dict[str, torch.Tensor] = {}
        for name, tensor in self.tensors.items():
            wide = tensor.float()
            scale = wide.abs().amax(dim=-1, keepdim=True).clamp(min=1e-20) / _INT8
            found[name] = (wide / scale).round().to(torch.int8)
            found[f"{name}.scale"] = scale
        return KvSnapshot(self.ids, self.kinds, found, self.dtype)

    def compact(self) -> KvSnapshot:
        """Return it without the rest of the buffers that its tensors are views of."""
        found = {
            name: tensor.clone(memory_format=torch.contiguous_format)
            if tensor.untyped_storage().nbytes() > tensor.nbytes
            else tensor
            for name, tensor in self.tensors.items()
        }
        return KvSnapshot(self.ids, self.kinds, found, self.dtype)

    def restore(self, config: PreTrainedConfig, *, buffers: bool = False) -> DynamicCache:
        """Return a cache that goes on after the last token; ``buffers``: as ``KvBuffers``."""
        cache = KvBuffers(config) if buffers else DynamicCache(config=config)
        for number, layer in enumerate(cache.layers):
            keys, values = self._wide(f"{number}.k"), self._wide(f"{number}.v")
            layer.lazy_initialization(keys, values)
            layer.keys, layer.values = keys, values
            if isinstance(layer, DynamicSlidingWindowLayer):
                layer.cumulative_length = len(self.ids)
        return cache

    def _wide(self, name: str) -> torch.Tensor:
        scale = self.tensors.get(f"{name}.scale")
        tensor = self.tensors[name]
        return tensor if scale is None else (tensor.float() * scale).to(self.dtype)


def take_snapshot(
    cache: DynamicCache, config: PreTrainedConfig, ids: Sequence[int]
) -> KvSnapshot | None:
    """Return the state after ``ids``; None for layers of a kind that is not known here."""
    kinds = layer_kinds(cache, config)
    if not ids or kinds is None or not all(layer.is_initialized for layer in cache.layers):
        return None
    tensors: dict[str, torch.Tensor] = {}
    for number, layer in enumerate(cache.layers):
        tensors |= {f"{number}.k": layer.keys, f"{number}.v": layer.values}
    return KvSnapshot(tuple(ids), kinds, tensors, cache.layers[0].keys.dtype)


def layer_kinds(cache: DynamicCache, config: PreTrainedConfig) -> tuple[LayerKind, ...] | None:
    """Return how far back each layer looks; None for layers of a kind that is not known here."""
    types = getattr(config, "layer_types", None) or []
    kinds: list[LayerKind] = []
    for number, layer in enumerate(cache.layers):
        if type(layer) not in _KNOWN:
            return None
        chunked = number < len(types) and types[number] == "chunked_attention"
        window = layer.sliding_window if isinstance(layer, DynamicSlidingWindowLayer) else 0
        kinds.append(LayerKind(window, chunked))
    return tuple(kinds) or None
