"""Llama 4 in C++: one call for some tokens of every stream, cache included.

``NativeDecoder.of(model)`` packs the model's linear layers (transformers' own forward then computes
through the same packed weights) and describes the layers to the kernel. A step is norm, queries,
keys and values, rotation, cache, attention, output, experts or dense feed-forward, for all layers,
and the logits: of one token of each stream, or of a prompt. The residual stream stays in fp32.
"""

from __future__ import annotations

import ctypes
import weakref
from collections import Counter
from typing import TYPE_CHECKING

import structlog
import torch
from torch import nn
from transformers import Llama4ForCausalLM
from transformers.models.llama4.modeling_llama4 import Llama4TextMLP

from agentkit.errors import ModelError
from agentkit.model.kernels.decode import (
    NativeDecoderLayer,
    NativeDecoderShape,
    NativeLinear,
    NativeRow,
    check_step,
)
from agentkit.model.kernels.dispatch import library, native_layer
from agentkit.model.kernels.layer import PackedExperts
from agentkit.model.local.fused import FusedMoe
from agentkit.model.local.kv_buffers import KvBuffers
from agentkit.model.local.linears import PackedEmbedding, PackedLinear, pack_module

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedModel
    from transformers.models.llama4.modeling_llama4 import Llama4TextDecoderLayer

    from agentkit.model.kernels.dispatch import KernelLibrary

__all__ = ["NativeDecoder", "pack_linears"]

_FORMATS = {torch.float32: 0, torch.bfloat16: 1}
_HEAD_UNIT = 16
# Kinds of rotary embeddings whose frequencies do not change with the length of the text.
_FIXED_ROPE = frozenset({"default", "linear", "llama3", "yarn"})
_GROUPS = ("q_proj", "k_proj", "v_proj", "o_proj"), ("gate_proj", "up_proj", "down_proj")


class NativeDecoder:
    """The decode step of one model. Calls are serialised in the library; any thread may call."""

    def __init__(self, model: PreTrainedModel, kernel: KernelLibrary) -> None:
        self._kernel = kernel
        self._config = model.config
        # What the structures point into, kept alive whatever becomes of the model.
        self._keep: list[object] = []
        self.vocab_size = int(model.lm_head.out_features)
        self._like = torch.empty(
            (1, self._config.num_key_value_heads, 1, self._config.head_dim), dtype=model.dtype
        )
        self._shape = self._describe(model)
        state = kernel.functions.agentkit_decode_open(ctypes.byref(self._shape))
        if not state:
            raise ModelError(
                "the decode kernel cannot run this model",
                cure="set AGENTKIT_KERNELS=off to run it in torch, and report the model's config",
            )
        self._state = ctypes.c_void_p(state)
        weakref.finalize(self, kernel.functions.agentkit_decode_close, self._state)

    @classmethod
    def of(cls, model: PreTrainedModel) -> NativeDecoder | None:
        """Pack ``model``'s linear layers and return its decode step.

        None, and the model as it was, where it is no Llama 4 with fused experts on the CPU; the
        log says why.
        """
        kernel = library()
        reason = "no kernel is built" if kernel is None else _why_not(model)
        if kernel is None or reason:
            structlog.get_logger(__name__).info("decode_in_torch", reason=reason)
            return None
        pack_linears(model)
        return cls(model, kernel)

    def new_cache(self) -> KvBuffers:
        """Return an empty cache for one stream."""
        return KvBuffers(self._config)

    def step(self, tokens: Sequence[int], caches: Sequence[KvBuffers]) -> torch.Tensor:
        """Append one token to each stream; return the logits [streams, vocab] fp32.

        Where one cache stands several times, its tokens follow each other. A step that is refused
        (``ModelError``) leaves the caches as they were.
        """
        return self._run(tokens, caches, [True] * len(tokens))

    def extend(self, segments: Sequence[tuple[Sequence[int], KvBuffers]]) -> torch.Tensor:
        """Append tokens to each stream; return the logits [streams, vocab] after the last of each.

        A prompt is read as it is decoded, many rows at a time; memory grows with their number.
        """
        tokens = [token for ids, _ in segments for token in ids]
        caches = [cache for ids, cache in segments for _ in ids]
        asked = [n == len(ids) - 1 for ids, _ in segments for n in range(len(ids))]
        return self._run(tokens, caches, asked)

    def _run(
        self, tokens: Sequence[int], caches: Sequence[KvBuffers], asked: Sequence[bool]
    ) -> torch.Tensor:
        if not tokens or len(tokens) != len(caches):
            raise ModelError(
                f"{len(tokens)} tokens for {len(caches)} caches",
                cure="pass one cache for each token, and at least one",
            )
        if min(tokens) < 0 or max(tokens) >= self._shape.vocabulary:
            raise ModelError(
                f"tokens from {min(tokens)} to {max(tokens)} for a vocabulary of"
                f" {self._shape.vocabulary}",
                cure="use the model's own tokenizer",
            )
        # Made outside inference mode: a grammar may mask it in place.
        logits = torch.empty(sum(asked), self.vocab_size)
        each = Counter(caches)
        tables = {cache: cache.reserve(count, self._like) for cache, count in each.items()}
        at = {cache: cache.get_seq_length() for cache in each}
        rows = (NativeRow * len(tokens))()
        place, line = logits.data_ptr(), logits.stride(0) * logits.element_size()
        for row, token, cache, wanted in zip(rows, tokens, caches, asked, strict=True):
            row.token = token
            row.position = at[cache]
            row.kv = ctypes.addressof(tables[cache])
            at[cache] += 1
            if wanted:
                row.logits = place
                place += line
        self._kernel.follow_torch_threads()
        status = self._kernel.functions.agentkit_decode_step(self._state, rows, len(rows))
        check_step(status)
        for cache, count in each.items():
            cache.advance(count)
        return logits

    def _describe(self, model: PreTrainedModel) -> NativeDecoderShape:
        config, rope = self._config, model.model.rotary_emb
        layers = (NativeDecoderLayer * config.num_hidden_layers)(
            *(self._layer(number, layer) for number, layer in enumerate(model.model.layers))
        )
        self._keep.append(layers)
        return NativeDecoderShape(
            config.hidden_size,
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_dim,
            config.num_hidden_layers,
            _FORMATS[model.dtype],
            config.rms_norm_eps,
            model.model.layers[0].self_attn.scaling,
            rope.attention_scaling,
            config.floor_scale,
            config.attn_scale,
            *self._embedding(model.model.embed_tokens),
            self._floats(rope.inv_freq),
            self._floats(model.model.norm.weight),
            self._linear(model.lm_head),
            layers,
        )

    def _layer(self, number: int, layer: Llama4TextDecoderLayer) -> NativeDecoderLayer:
        config = self._config
        attention, block = layer.self_attn, layer.feed_forward
        chunked = config.layer_types[number] == "chunked_attention"
        linears = [self._linear(getattr(attention, name)) for name in _GROUPS[0]]
        experts, dense = None, [NativeLinear()] * 3
        if isinstance(block, FusedMoe) and isinstance(block.packed, PackedExperts):
            described = native_layer(block.packed, torch.float32)
            self._keep += [described, block.packed]
            experts = ctypes.addressof(described)
        else:
            dense = [self._linear(getattr(block, name)) for name in _GROUPS[1]]
        return NativeDecoderLayer(
            self._floats(layer.input_layernorm.weight),
            self._floats(layer.post_attention_layernorm.weight),
            *linears,
            int(bool(attention.use_rope)),
            int(hasattr(attention, "qk_norm")),
            int(bool(attention.attn_temperature_tuning) and not attention.use_rope),
            (config.attention_chunk_size or 0) if chunked else 0,
            experts,
            *dense,
        )

    def _linear(self, packed: PackedLinear) -> NativeLinear:
        self._keep.append(packed)
        return packed.native

    def _embedding(self, module: nn.Embedding | PackedEmbedding) -> tuple[int | None, int, int]:
        """Return the table, None where it is ``lm_head``'s, its rows and its format."""
        if isinstance(module, PackedEmbedding):
            return None, module.num_embeddings, 0
        table = module.weight.detach().contiguous()
        self._keep.append(table)
        return table.data_ptr(), module.num_embeddings, _FORMATS[table.dtype]

    def _floats(self, tensor: torch.Tensor) -> int:
        wide = tensor.detach().float().contiguous()
        self._keep.append(wide)
        return wide.data_ptr()


def pack_linears(model: PreTrainedModel) -> int:
    """Put a Llama 4's linear layers into the kernel's layout, one at a time; return how many.

    A tied embedding is then read from the packed ``lm_head``.
    """
    packed = 0
    for layer in model.model.layers:
        for module, names in zip((layer.self_attn, layer.feed_forward), _GROUPS, strict=True):
            for name in names:
                if type(getattr(module, name, None)) is nn.Linear:
                    setattr(module, name, pack_module(getattr(module, name)))
                    packed += 1
    if type(model.lm_head) is nn.Linear:
        embedding = model.model.embed_tokens
        tied = model.lm_head.weight.data_ptr() == embedding.weight.data_ptr()
        model.lm_head = pack_module(model.lm_head)
        packed += 1
        if tied:
            model.model.embed_tokens = PackedEmbedding(model.lm_head)
    return packed


def _why_not(model: PreTrainedModel) -> str:
    """Say why the native step cannot run ``model``; empty if it can."""
    if type(model) is not Llama4ForCausalLM:
        return f"{type(model).__name__} is no Llama 4"
    config = model.config
    if model.dtype not in _FORMATS or model.device.type != "cpu":
        return f"{model.dtype} on {model.device.type} is not fp32 or bf16 on the CPU"
    if config.head_dim % _HEAD_UNIT:
        return f"heads of {config.head_dim} are no multiple of {_HEAD_UNIT}"
    if model.model.rotary_emb.rope_type not in _FIXED_ROPE:
        return f"rotary embeddings of kind {model.model.rotary_emb.rope_type} change with length"
    if type(model.model.embed_tokens) not in {nn.Embedding, PackedEmbedding}:
        return f"the embedding is {type(model.model.embed_tokens).__name__}"
    for layer in model.model.layers:
        block = layer.feed_forward
        dense = type(block) is Llama4TextMLP and type(block.activation_fn).__name__ in {
            "SiLU",
            "SiLUActivation",
        }
        fused = isinstance(block, FusedMoe) and isinstance(block.packed, PackedExperts)
        if not dense and not fused:
            return f"a feed-forward is {type(block).__name__}"
    return ""
