"""Transformers' KV cache in buffers made ahead, so that a token is written and nothing is copied.

``DynamicCache`` makes all keys and values anew for each token. Here a layer has room for more and
hands out views; the native decode step writes into the same buffers. One law keeps snapshots (see
``kv_snapshot``) safe: a position that was handed out is never written again. A buffer that is full,
and tensors that came from outside, are copied into a new one before the next token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from agentkit.model.kernels.decode import NativeKv

if TYPE_CHECKING:
    import ctypes

    from transformers import PreTrainedConfig

__all__ = ["BufferedLayer", "BufferedWindowLayer", "KvBuffers"]

_LEAST_ROOM = 64


class BufferedLayer(DynamicLayer):  # type: ignore[misc]  # transformers is untyped here
    """A layer that holds everything. ``keys``, ``values``: [batch, heads, tokens, dim], views."""

    def __init__(self) -> None:
        self._k: torch.Tensor | None = None
        self._v: torch.Tensor | None = None
        self._at = 0
        self._held = 0
        self._owned = False
        self.moved = True
        DynamicLayer.__init__(self)

    @property
    def keys(self) -> torch.Tensor | None:
        """The keys held, in the order of positions."""
        return None if self._k is None else self._k[:, :, self._at : self._at + self._held]

    @keys.setter
    def keys(self, tensor: torch.Tensor | None) -> None:
        if self._v is not None and self._at:
            self._v = self.values
        self._k, self._at, self._held = tensor, 0, 0 if tensor is None else tensor.shape[-2]
        self._owned, self.moved = False, True

    @property
    def values(self) -> torch.Tensor | None:
        """The values held, in the order of positions."""
        return None if self._v is None else self._v[:, :, self._at : self._at + self._held]

    @values.setter
    def values(self, tensor: torch.Tensor | None) -> None:
        # Keys are set first, with the same number of tokens.
        self._v = tensor

    @property
    def window(self) -> int:
        """How many tokens a later one may look back at, itself included; 0 for all."""
        return 0

    @property
    def first(self) -> int:
        """The position of the buffer's first row."""
        return self.get_seq_length() - self._held - self._at

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Note the format; buffers are made when there is something to write."""
        del value_states
        self.dtype, self.device = key_states.dtype, key_states.device
        self.is_initialized = True

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        *args: object,
        **kwargs: object,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append keys and values; return all that the new tokens may look at."""
        del args, kwargs
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        tokens = key_states.shape[-2]
        keys, values = self.room(tokens, key_states, value_states)
        start, end = self._at, self._at + self._held
        keys[:, :, end : end + tokens].copy_(key_states.detach())
        values[:, :, end : end + tokens].copy_(value_states.detach())
        self.advance(tokens)
        return keys[:, :, start : end + tokens], values[:, :, start : end + tokens]

    def room(
        self, tokens: int, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the buffers, with room for ``tokens`` more of the kind of ``keys``, ``values``."""
        end = self._at + self._held
        if self._k is None or self._v is None or not self._owned or end + tokens > self.capacity:
            needed = self._held + tokens
            # Half as much again, so that growing costs a constant share; a window moves on by one.
            spare = max(_LEAST_ROOM, min(needed // 2, self.window) if self.window else needed // 2)
            # Both or none: where memory ends in between, the layer stays as it was.
            grown = (
                _grown(self.keys, keys, needed + spare),
                _grown(self.values, values, needed + spare),
            )
            self._k, self._v = grown
            self._at, self._owned, self.moved = 0, True, True
        return self._k, self._v

    @property
    def capacity(self) -> int:
        """Rows of the buffers."""
        return 0 if self._k is None else self._k.shape[-2]

    def advance(self, tokens: int) -> None:
        """Count ``tokens`` that were written behind the last one."""
        self._held += tokens

    def point(self, kv: NativeKv) -> None:
        """Describe the buffers to the native step."""
        if self._k is None or self._v is None:
            return
        kv.keys, kv.values = self._k.data_ptr(), self._v.data_ptr()
        kv.capacity, kv.first = self.capacity, self.first
        self.moved = False

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens; a negative number, as transformers gives it."""
        if tokens_to_remove > 0:
            raise ValueError("crop takes a negative number: how many tokens to remove")
        self._held = max(self._held + tokens_to_remove, 0)
        # Their places were handed out: what comes next goes into a new buffer.
        self._owned = self._owned and not tokens_to_remove

    def get_seq_length(self) -> int:
        """Return how many tokens there were."""
        return self._held


class BufferedWindowLayer(BufferedLayer, DynamicSlidingWindowLayer):  # type: ignore[misc]  # as above
    """A layer that holds its last ``sliding_window - 1`` tokens."""

    def __init__(self, sliding_window: int) -> None:
        BufferedLayer.__init__(self)
        # What DynamicSlidingWindowLayer's own __init__ sets; it would begin with BufferedLayer's.
        self.sliding_window = sliding_window
        self.cumulative_length = 0
        self._sliding_window_tensor = torch.tensor(sliding_window, dtype=torch.long)
        self.record_past = False

    @property
    def window(self) -> int:
        """How many tokens a later one may look back at, itself included."""
        return self.sliding_window

    def advance(self, tokens: int) -> None:
        """Count ``tokens`` that were written, and let go what nobody looks at any more."""
        self.cumulative_length += tokens
        self._held += tokens
        dropped = max(self._held - self.sliding_window + 1, 0)
        self._at += dropped
        self._held -= dropped

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens, as long as none has left the window."""
        if tokens_to_remove and self.cumulative_length >= self.sliding_window:
            raise RuntimeError("tokens that have left the window cannot come back")
        if not tokens_to_remove:
            return
        BufferedLayer.crop(self, tokens_to_remove)
        self.cumulative_length = self._held

    def activate_past_recording(self) -> None:
        """Refuse: tokens that left the window cannot come back."""
        raise RuntimeError("buffers do not record what leaves a window")

    def get_seq_length(self) -> int:
        """Return how many tokens there were."""
        return self.cumulative_length


class KvBuffers(DynamicCache):  # type: ignore[misc]  # as above
    """The KV cache of one stream, shared by transformers' forward and the native decode step.

    Layers of a kind that is not known here stay transformers' own.
    """

    layers: list[DynamicLayer]

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__(config=config)
        self.layers = [_buffered(layer) for layer in self.layers]
        self._table = (NativeKv * len(self.layers))()

    def reserve(self, tokens: int, like: torch.Tensor) -> ctypes.Array[NativeKv]:
        """Make room for ``tokens`` more of the kind of ``like`` [1, heads, 1, dim] in every layer.

        Returns the buffers of all layers; what is written there counts after ``advance``.
        """
        for layer, kv in zip(self.layers, self._table, strict=True):
            if not layer.is_initialized:
                layer.lazy_initialization(like, like)
            layer.room(tokens, like, like)
            if layer.moved:
                layer.point(kv)
        return self._table

    def advance(self, tokens: int) -> None:
        """Count ``tokens`` that the native step wrote."""
        for layer in self.layers:
            layer.advance(tokens)


def _buffered(layer: DynamicLayer) -> DynamicLayer:
    if type(layer) is DynamicSlidingWindowLayer:
        return BufferedWindowLayer(layer.sliding_window)
    return BufferedLayer() if type(layer) is DynamicLayer else layer


def _grown(old: torch.Tensor | None, like: torch.Tensor, capacity: int) -> torch.Tensor:
    """Return a buffer of ``capacity`` tokens that begins with ``old``."""
    batch, heads, _, dim = like.shape
    # A normal tensor, so that it can be written with or without inference mode.
    with torch.inference_mode(mode=False):
        new = torch.empty((batch, heads, capacity, dim), dtype=like.dtype, device=like.device)
        if old is not None:
            new[:, :, : old.shape[-2]].copy_(old)
    return new
