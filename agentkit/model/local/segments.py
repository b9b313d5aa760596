"""One forward pass over the next tokens of several streams.

The tokens of all streams lie in one row [1, N], so that linears, experts and the last layer read
their weights once for all. Attention alone knows streams: each segment's keys and values go to its
own cache, and its queries look at that cache only, through the attention function the model runs
with anyway (torch's sdpa, or the model's own where it has sinks).

What the row changes is the shape of the matrix products: logits agree with a stream's own pass to
rounding. Everything that a layer derives from a position gets the stream's: RoPE by explicit
``position_ids``, Llama 4's temperature tuning by the cache's length, which ``_Row`` answers token
by token.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from transformers import DynamicCache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from agentkit.model.local.kv_snapshot import layer_kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from transformers import PreTrainedConfig, PreTrainedModel
    from transformers.cache_utils import CacheLayerMixin

    from agentkit.model.local.kv_snapshot import LayerKind

__all__ = [
    "SHARED_PASS",
    "Segment",
    "forward_alone",
    "forward_together",
    "shares_passes",
    "steady_context",
]

# Architectures whose layers were read, and whose logits the tests hold to those of streams alone.
SHARED_PASS: Final = frozenset(
    {
        "DeepseekV3ForCausalLM",
        "Glm4MoeForCausalLM",
        "GptOssForCausalLM",
        "GraniteMoeForCausalLM",
        "Llama4ForCausalLM",
        "LlamaForCausalLM",
        "MistralForCausalLM",
        "MixtralForCausalLM",
        "OlmoeForCausalLM",
        "Qwen2ForCausalLM",
        "Qwen3ForCausalLM",
        "Qwen3MoeForCausalLM",
    }
)

_NAME: Final = "agentkit_segments"
# Their frequencies depend on the longest position of a pass, so one stream would change another.
_ROPE_BY_PASS: Final = frozenset({"dynamic", "longrope"})


@dataclass(frozen=True, slots=True)
class Segment:
    """The next tokens of one stream: ``ids`` go after what ``kv`` holds already."""

    kv: DynamicCache
    ids: tuple[int, ...]


def shares_passes(model: PreTrainedModel) -> bool:
    """Whether several streams of ``model`` may share a pass with no change but rounding."""
    config = model.config
    return (
        type(model).__name__ in SHARED_PASS
        and config._attn_implementation in {"sdpa", "eager"}  # noqa: SLF001 - transformers' only name for it
        and not _rope_types(config) & _ROPE_BY_PASS
        and layer_kinds(DynamicCache(config=config), config) is not None
    )


def steady_context(config: PreTrainedConfig) -> int | None:
    """Return how long contexts may be for RoPE to turn each position always by the same angle.

    None for any length. Beyond it ``longrope`` takes other frequencies, for every later pass and
    not for keys that were read before; ``dynamic`` does so beyond ``max_position_embeddings``.
    """
    most = [getattr(config, "max_position_embeddings", None)]
    most += [
        one.get("original_max_position_embeddings")
        for one in _rope_parameters(config)
        if one.get("rope_type") == "longrope"
    ]
    return min((int(one) for one in most if one is not None), default=None)


def forward_alone(model: PreTrainedModel, segment: Segment) -> torch.Tensor:
    """Run one stream's pass as transformers would; return the last token's logits [vocab]."""
    batch = torch.tensor([segment.ids], device=model.device)
    out = model(input_ids=batch, past_key_values=segment.kv, use_cache=True, logits_to_keep=1)
    logits: torch.Tensor = out.logits[0, -1]
    return logits


def forward_together(model: PreTrainedModel, segments: Sequence[Segment]) -> torch.Tensor:
    """Run one pass over all segments; return the logits [segments, vocab] of their last tokens.

    Ask ``shares_passes`` first. Each stream's cache grows by its segment. No two passes of a model
    may run at once.
    """
    row = _Row(segments, model.config)
    ids = [token for segment in segments for token in segment.ids]
    own = model.config._attn_implementation  # noqa: SLF001 - as above
    model.config._attn_implementation = _NAME  # noqa: SLF001 - as above
    try:
        out = model(
            input_ids=torch.tensor([ids], device=model.device),
            position_ids=row.positions.unsqueeze(0).to(model.device),
            past_key_values=row,
            use_cache=True,
            logits_to_keep=torch.tensor(row.ends, device=model.device) - 1,
            agentkit_row=row,
            agentkit_attention=own,
        )
    finally:
        model.config._attn_implementation = own  # noqa: SLF001 - as above
    logits: torch.Tensor = out.logits[0]
    return logits


class _Row:
    """Stands in for the cache during a pass: hands each segment to its stream's own.

    ``starts``, ``ends``: where each segment lies in the row; ``past``: how many tokens its stream
    had before; ``positions``: int64 [N], each token's place in its stream.
    """

    def __init__(self, segments: Sequence[Segment], config: PreTrainedConfig) -> None:
        self._caches = [segment.kv for segment in segments]
        self._kinds = layer_kinds(segments[0].kv, config) or ()
        self.past = [segment.kv.get_seq_length() for segment in segments]
        self.starts: list[int] = []
        self.ends: list[int] = []
        for segment in segments:
            self.starts.append(self.ends[-1] if self.ends else 0)
            self.ends.append(self.starts[-1] + len(segment.ids))
        parts = [
            torch.arange(past, past + len(segment.ids))
            for past, segment in zip(self.past, segments, strict=True)
        ]
        self.positions = torch.cat(parts)
        self._shift = self.positions - torch.arange(len(self.positions))
        self._held: dict[int, list[tuple[torch.Tensor, torch.Tensor]]] = {}
        self._masks: dict[tuple[int, LayerKind, bool], torch.Tensor | None] = {}

    def get_seq_length(self, layer_idx: int = 0) -> torch.Tensor:
        """Return, for each token, what added to its place in the row gives its position.

        Llama 4's temperature tuning adds the cache's length to ``arange(N)``; [N] does it for all.
        """
        del layer_idx  # all layers have seen the same tokens
        return self._shift

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append each segment's keys and values to its stream's; return them as given.

        [1, heads, N, dim]; what the streams hold is kept for ``attend``.
        """
        self._held[layer_idx] = [
            _layer(cache, layer_idx).update(keys[:, :, start:end], values[:, :, start:end])
            for cache, start, end in zip(self._caches, self.starts, self.ends, strict=True)
        ]
        return keys, values

    def attend(
        self,
        attention: Callable[..., tuple[torch.Tensor, object]],
        module: torch.nn.Module,
        query: torch.Tensor,
        *,
        additive: bool,
        **kwargs: object,
    ) -> torch.Tensor:
        """Return [1, N, heads, dim]: ``attention`` of each segment's queries to its own stream."""
        number: int = module.layer_idx  # type: ignore[assignment]  # nn.Module types all as Tensor | Module
        expand = getattr(module, "expand_kv", None)
        kind = self._kinds[number]
        parts = []
        for place, (keys, values) in enumerate(self._held.pop(number)):
            if expand is not None:  # DeepSeek's caches hold latents; the row's own were expanded
                keys, values = expand(keys, values)  # noqa: PLW2901  # the same, in another form
            if self.ends[place] - self.starts[place] == 1:
                unseen = kind.first_needed(self.past[place]) - kind.first_held(self.past[place])
                keys, values = keys[:, :, unseen:], values[:, :, unseen:]  # noqa: PLW2901
            mask = self._mask(place, kind, keys, additive=additive)
            part = query[:, :, self.starts[place] : self.ends[place]]
            parts.append(attention(module, part, keys, values, mask, **kwargs)[0])
        return torch.cat(parts, dim=1)

    def _mask(
        self, place: int, kind: LayerKind, keys: torch.Tensor, *, additive: bool
    ) -> torch.Tensor | None:
        """Return what the segment may see, [1, 1, queries, keys]; None where it sees all keys."""
        count = self.ends[place] - self.starts[place]
        if count == 1:
            return None
        known = (place, kind, additive)
        if known not in self._masks:
            past = self.past[place]
            seen = _sees(kind, past, count, keys.shape[2]).to(keys.device)[None, None]
            if additive:
                least = torch.finfo(keys.dtype).min
                seen = torch.where(seen, 0.0, least).to(keys.dtype)
            self._masks[known] = seen
        return self._masks[known]


def _sees(kind: LayerKind, past: int, count: int, held: int) -> torch.Tensor:
    """Return bool [count, held]: which of the last ``held`` tokens each new one may look at."""
    query = torch.arange(past, past + count)[:, None]
    key = torch.arange(past + count - held, past + count)[None]
    seen = key <= query
    if kind.chunked:
        return seen & (key // kind.window == query // kind.window)
    return seen & (key > query - kind.window) if kind.window else seen


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    agentkit_row: _Row,
    agentkit_attention: str,
    **kwargs: object,
) -> tuple[torch.Tensor, None]:
    """Stand in for the model's attention function while a row is in the pass."""
    del key, value, attention_mask  # the row's; each stream has its own
    own = sys.modules[type(module).__module__].eager_attention_forward
    inner = ALL_ATTENTION_FUNCTIONS.get_interface(agentkit_attention, own)
    additive = agentkit_attention == "eager"
    return agentkit_row.attend(inner, module, query, additive=additive, **kwargs), None


def _layer(cache: DynamicCache, number: int) -> CacheLayerMixin:
    return cache.layers[number]


def _rope_types(config: PreTrainedConfig) -> set[str]:
    return {str(one.get("rope_type", "default")) for one in _rope_parameters(config)}


def _rope_parameters(config: PreTrainedConfig) -> list[dict[str, Any]]:
    found = getattr(config, "rope_parameters", None) or {}
    return [one for one in found.values() if isinstance(one, dict)] or [found]


ALL_ATTENTION_FUNCTIONS.register(_NAME, _attention)
