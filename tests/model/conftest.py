"""Small real tokenizers, trained here: what the big ones do wrong, they do as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from tests.model.backend import Server, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

LLAMA4_SPECIALS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|header_start|>",
    "<|header_end|>",
    "<|eom|>",
    "<|eot|>",
    "<|python_start|>",
    "<|python_end|>",
)
_CORPUS = [
    'system user assistant ipython the weather in Paris {"name": "get_weather", "arguments": {}}',
    '[get_weather(city="Paris", days=3)] hello world true false null 0123456789',
] * 40


def _byte_level(*, folding: bool = False) -> PreTrainedTokenizerFast:
    """Byte-level BPE with Llama 4's names, one added token that is *not* flagged special, and runs
    of white space as added tokens. ``folding``: text is normalised (NFKC) before it is split.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    if folding:
        tokenizer.normalizer = normalizers.NFKC()
    tokenizer.add_special_tokens(list(LLAMA4_SPECIALS))
    tokenizer.add_tokens(
        [
            AddedToken("<tool_call>", special=False, normalized=True),
            AddedToken("    ", special=False, normalized=False),
        ]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|eot|>")


def _unigram() -> PreTrainedTokenizerFast:
    """Unigram with control tokens *inside* its vocabulary, as SentencePiece models have them."""
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("▁", -2.0)]
    pieces += [(letter, -3.0) for letter in "abcdefghijklmnopqrstuvwxyz<>/|_"]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="never")
    tokenizer.add_special_tokens(["<s>", "</s>"])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


@pytest.fixture(scope="session")
def byte_level() -> PreTrainedTokenizerFast:
    return _byte_level()


@pytest.fixture(scope="session")
def folding() -> PreTrainedTokenizerFast:
    return _byte_level(folding=True)


@pytest.fixture(scope="session")
def unigram() -> PreTrainedTokenizerFast:
    return _unigram()


@pytest.fixture
def server() -> Iterator[Server]:
    """A loopback backend, for one test."""
    with serve() as running:
        yield running
