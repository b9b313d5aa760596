from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from agentkit.model.encoding import PromptEncoder
from agentkit.model.local.detokenise import TextStream, TokenBytes

WELL_FORMED = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def _pieces(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> list[str]:
    stream = TextStream(TokenBytes(tokenizer))
    return [*(stream.push([token]) for token in ids), stream.finish()]


def test_text_comes_back_whole_and_in_whole_characters(
    byte_level: PreTrainedTokenizerFast,
) -> None:
    encoder = PromptEncoder(byte_level)

    @given(WELL_FORMED)
    @settings(max_examples=150, deadline=None)
    def check(text: str) -> None:
        pieces = _pieces(byte_level, encoder.encode_text(text))
        assert "".join(pieces) == text
        assert all(piece in text for piece in pieces)

    check()


def test_half_a_character_is_held_back(byte_level: PreTrainedTokenizerFast) -> None:
    ids = PromptEncoder(byte_level).encode_text("é🙂")
    assert len(ids) > 2
    assert _pieces(byte_level, ids) == ["", "é", "", "", "", "🙂", ""]


def test_a_reply_cut_inside_a_character_ends_in_a_replacement(
    byte_level: PreTrainedTokenizerFast,
) -> None:
    ids = PromptEncoder(byte_level).encode_text("a🙂")[:-1]
    assert _pieces(byte_level, ids)[-1] == "\ufffd"


def test_special_tokens_and_unknown_ids_are_no_text(byte_level: PreTrainedTokenizerFast) -> None:
    special = byte_level.convert_tokens_to_ids("<|eot|>")
    assert "".join(_pieces(byte_level, [special, 10**6])) == ""


def test_sentencepiece_pieces_and_byte_fallback() -> None:
    vocabulary = {"▁hi": 0, "<0xC3>": 1, "<0xA9>": 2, "!": 3}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(vocabulary, [])))
    assert "".join(_pieces(tokenizer, [0, 1, 2, 3])) == " hié!"


def test_a_piece_in_plain_characters_of_a_byte_level_tokenizer_stands_as_it_is() -> None:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: n for n, letter in enumerate([*letters, "\u65e5\u672c"])}
    backend = Tokenizer(models.BPE(vocabulary, []))
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    assert "".join(_pieces(tokenizer, [len(letters)])) == "\u65e5\u672c"
    assert tokenizer.decode([len(letters)]) == "\u65e5\u672c"
