"""SmolLM2's weights and tokenizer as they stand in its GGUF file.

Weights are dequantised to fp32. GGUF keeps query and key rows in Meta's order, in which the two
halves of a rotary pair are neighbours; that is also Llama 4's order, so no row is moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

if TYPE_CHECKING:
    from pathlib import Path

    from agentkit.progress import Progress

__all__ = ["DenseModel", "read_gguf"]

_CONTROL_TOKEN = 3


@dataclass(frozen=True, slots=True)
class DenseModel:
    """A dense Llama-style model: its shape, its weights by GGUF name (fp32), its tokenizer."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    context_tokens: int
    rope_theta: float
    norm_epsilon: float
    weights: dict[str, torch.Tensor]
    tokenizer: PreTrainedTokenizerFast


def read_gguf(path: Path, *, progress: Progress) -> DenseModel:
    """Read the file; ``progress`` counts tensors."""
    reader = GGUFReader(path)

    def field(name: str) -> object:
        return reader.fields[name].contents()

    def number(name: str) -> float:
        return float(str(field(f"llama.{name}")))

    weights = {}
    for done, tensor in enumerate(reader.tensors, start=1):
        values = dequantize(tensor.data, tensor.tensor_type)
        weights[str(tensor.name)] = torch.from_numpy(values.copy())
        progress("read", done, len(reader.tensors))
    return DenseModel(
        layers=int(number("block_count")),
        hidden=int(number("embedding_length")),
        intermediate=int(number("feed_forward_length")),
        heads=int(number("attention.head_count")),
        kv_heads=int(number("attention.head_count_kv")),
        head_dim=int(number("rope.dimension_count")),
        context_tokens=int(number("context_length")),
        rope_theta=number("rope.freq_base"),
        norm_epsilon=number("attention.layer_norm_rms_epsilon"),
        weights=weights,
        tokenizer=_tokenizer(reader),
    )


def _tokenizer(reader: GGUFReader) -> PreTrainedTokenizerFast:
    """Rebuild the byte-level BPE tokenizer; ``smollm`` splits numbers into single digits."""
    tokens: list[str] = reader.fields["tokenizer.ggml.tokens"].contents()
    kinds: list[int] = reader.fields["tokenizer.ggml.token_type"].contents()
    merges: list[str] = reader.fields["tokenizer.ggml.merges"].contents()
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    tokenizer = Tokenizer(models.BPE({token: n for n, token in enumerate(tokens)}, pairs))
    digits = pre_tokenizers.Digits(individual_digits=True)
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    special = [t for t, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL_TOKEN]
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in special])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",  # noqa: S106  # a vocabulary entry, no secret
        eos_token="<|im_end|>",  # noqa: S106
        pad_token="<|im_end|>",  # noqa: S106
        unk_token="<|endoftext|>",  # noqa: S106
        clean_up_tokenization_spaces=False,
    )
