"""A model small enough to train in a test, with a tokenizer of bytes."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from agentkit.model.embedded.gguf_file import DenseModel
from training.tool_use.network import Network

HIDDEN, INNER = 32, 48


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({letter: n for n, letter in enumerate(letters)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    return tokenizer


@pytest.fixture(scope="module")
def dense(tokenizer: PreTrainedTokenizerFast) -> DenseModel:
    torch.manual_seed(0)
    shapes = {
        "attn_q": (HIDDEN, HIDDEN),
        "attn_k": (16, HIDDEN),
        "attn_v": (16, HIDDEN),
        "attn_output": (HIDDEN, HIDDEN),
    }
    shapes |= {"ffn_gate": (INNER, HIDDEN), "ffn_up": (INNER, HIDDEN), "ffn_down": (HIDDEN, INNER)}
    weights = {"token_embd.weight": torch.randn(len(tokenizer), HIDDEN)}
    weights["output_norm.weight"] = torch.ones(HIDDEN)
    for layer in range(2):
        for name, shape in shapes.items():
            weights[f"blk.{layer}.{name}.weight"] = torch.randn(shape) * 0.2
        for name in ("attn_norm", "ffn_norm"):
            weights[f"blk.{layer}.{name}.weight"] = torch.ones(HIDDEN)
    return DenseModel(2, HIDDEN, INNER, 4, 2, 8, 4096, 10_000.0, 1e-5, weights, tokenizer)


@pytest.fixture(scope="module")
def network(dense: DenseModel) -> Network:
    torch.manual_seed(1)
    network = Network(dense, torch.float32)
    for value in network.parameters():
        torch.nn.init.normal_(value, std=0.1)
    return network
