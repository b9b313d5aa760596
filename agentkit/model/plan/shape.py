"""The sizes of a model, as its config.json states them.

Vision parts are left out: models in this process read text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentkit.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ModelShape", "read_shape"]

_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")
_WINDOWED = ("chunked_attention", "sliding_attention")
_NOPE_EVERY = 4
_MOST_LAYERS = 1 << 12


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Parameters by what they are for. ``windows``: of each layer, 0 where it keeps all keys.

    ``experts``: all routed and shared ones; ``active_experts``: those that one token reads.
    ``linears``: everything else that every token reads, the last layer included; ``looked_up``:
    embeddings of which a token reads one row. ``kv_numbers``: keys and values of one token in one
    layer.
    """

    experts: int
    active_experts: int
    linears: int
    looked_up: int
    windows: tuple[int, ...]
    kv_numbers: int
    context: int

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.experts + self.linears + self.looked_up

    @property
    def active_parameters(self) -> int:
        """Those that are read for one token."""
        return self.active_experts + self.linears

    def kept_tokens(self, context: int) -> int:
        """Return how many tokens' keys all layers keep together at ``context`` tokens."""
        return sum(min(context, window) if window else context for window in self.windows)


def read_shape(config: Mapping[str, object], place: str) -> ModelShape:
    """Read the sizes out of a config.json; raises ``ModelError`` where one is missing or odd."""
    nested = config.get("text_config")
    return _Config(nested if isinstance(nested, dict) else config, place).shape()


@dataclass(frozen=True, slots=True)
class _Config:
    """Access to one configuration's numbers."""

    values: Mapping[str, object]
    place: str

    def shape(self) -> ModelShape:
        """Count everything."""
        hidden, layers = self.number("hidden_size"), self.number("num_hidden_layers")
        attention, kv_numbers = self._attention(hidden)
        experts, top_k = self.number(*_EXPERTS, default=0), 0
        if experts:
            top_k = self.number("num_experts_per_tok")
        sparse = self._sparse_layers(layers) if experts else 0
        one = 3 * hidden * self.number("moe_intermediate_size", "intermediate_size")
        shared = self._shared_experts()
        dense = 3 * hidden * self.number("intermediate_size_mlp", "intermediate_size")
        if not 1 <= layers <= _MOST_LAYERS or not hidden or not kv_numbers:
            raise ModelError(
                f"config.json states {layers} layers of {hidden} numbers, {kv_numbers} of which are"
                " keys and values: no model has such sizes",
                cure="give a decoder-only language model of transformers' format",
                place=self.place,
            )
        table = self.number("vocab_size") * hidden
        tied = self.values.get("tie_word_embeddings") is True
        return ModelShape(
            experts=sparse * (experts + shared) * one,
            active_experts=sparse * (top_k + shared) * one,
            linears=layers * attention
            + sparse * experts * hidden
            + (layers - sparse) * dense
            + table,
            looked_up=0 if tied else table,
            windows=self._windows(layers),
            kv_numbers=kv_numbers,
            context=self.number("max_position_embeddings"),
        )

    def number(self, *names: str, default: int | None = None) -> int:
        """Return the first of ``names`` that is stated, a whole number from 0 up."""
        for name in names:
            value = self.values.get(name)
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 48:
                return value
        if default is not None:
            return default
        raise ModelError(
            f"config.json does not state {names[0]} as a whole number",
            cure="give a decoder-only language model of transformers' format",
            place=self.place,
        )

    def _attention(self, hidden: int) -> tuple[int, int]:
        """Return the parameters of one layer's attention, and its cached numbers a token."""
        heads = self.number("num_attention_heads")
        if "kv_lora_rank" in self.values:
            nope, rope = self.number("qk_nope_head_dim"), self.number("qk_rope_head_dim")
            value, rank = self.number("v_head_dim"), self.number("kv_lora_rank")
            q_rank = self.number("q_lora_rank", default=0)
            wide = heads * (nope + rope)
            query = (hidden + wide) * q_rank if q_rank else hidden * wide
            keys = hidden * (rank + rope) + rank * heads * (nope + value)
            return query + keys + heads * value * hidden, wide + heads * value
        kv_heads = self.number("num_key_value_heads", default=heads)
        head = self.number("head_dim", default=hidden // max(heads, 1))
        return 2 * hidden * head * (heads + kv_heads), 2 * kv_heads * head

    def _shared_experts(self) -> int:
        if "interleave_moe_layer_step" in self.values:
            return 1
        return self.number("n_shared_experts", default=0)

    def _sparse_layers(self, layers: int) -> int:
        stated = self.values.get("moe_layers")
        if isinstance(stated, list):
            return len(stated)
        step = self.number("interleave_moe_layer_step", "decoder_sparse_step", default=1)
        without = self.values.get("mlp_only_layers")
        left_out = len(without) if isinstance(without, list) else 0
        dense = self.number("first_k_dense_replace", default=0)
        return max((layers - dense) // max(step, 1) - left_out, 0)

    def _windows(self, layers: int) -> tuple[int, ...]:
        chunk = self.number("attention_chunk_size", "sliding_window", default=0)
        kinds = self.values.get("layer_types")
        if isinstance(kinds, list) and len(kinds) == layers:
            return tuple(chunk if kind in _WINDOWED else 0 for kind in kinds)
        if "interleave_moe_layer_step" in self.values:
            return tuple(0 if (n + 1) % _NOPE_EVERY == 0 else chunk for n in range(layers))
        return (0,) * layers
