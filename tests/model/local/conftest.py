from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
import transformers

from agentkit.model.local.loading import load_local

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agentkit.model.local import LocalModel


@pytest.fixture(autouse=True, scope="session")
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_llama4() -> Callable[..., transformers.PreTrainedModel]:
    """Build a random Llama 4 whose chunk (16) is far smaller than the test sequences (60)."""

    def build(**overrides: object) -> transformers.PreTrainedModel:
        values: dict[str, object] = {
            "vocab_size": 500,
            "hidden_size": 64,
            "intermediate_size": 48,
            "intermediate_size_mlp": 96,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "num_local_experts": 4,
            "attention_chunk_size": 16,
            "attn_temperature_tuning": False,
            "floor_scale": 8,
            "attn_scale": 1.0,
            "max_position_embeddings": 256,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 2,
        }
        torch.manual_seed(0)
        config = transformers.Llama4TextConfig(**(values | overrides))
        model = transformers.Llama4ForCausalLM(config).eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "norm" not in name:
                    parameter.normal_(0, 0.15)
        return model

    return build


@pytest.fixture(scope="session")
def tiny_directory(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_llama4: Callable[..., transformers.PreTrainedModel],
    byte_level: transformers.PreTrainedTokenizerFast,
) -> Path:
    """A whole checkpoint on disk: a random Llama 4 (chunk 16) and a real byte-level tokenizer."""
    directory = tmp_path_factory.mktemp("tiny")
    tiny_llama4(vocab_size=len(byte_level), max_position_embeddings=2048).save_pretrained(directory)
    byte_level.save_pretrained(directory)
    return directory


@pytest.fixture
def tiny_model(tiny_directory: Path) -> LocalModel:
    return load_local(tiny_directory)
