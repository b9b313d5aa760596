"""Tokens to text while they arrive, never half a character.

A token is a run of bytes, and a character may be spread over several of them. ``TextStream``
keeps the bytes of an unfinished character back until its rest has come.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from transformers import PreTrainedTokenizerFast

__all__ = ["TextStream", "TokenBytes"]

_BYTE_FALLBACK = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def _byte_of_character() -> dict[str, int]:
    """Invert GPT-2's table of printable stand-ins for bytes (openai/gpt-2, ``encoder.py``)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in printable}
    others = [byte for byte in range(0x100) if byte not in set(printable)]
    return table | {chr(0x100 + n): byte for n, byte in enumerate(others)}


class TokenBytes:
    """The bytes each token id stands for; special tokens stand for none unless ``visible``."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, *, visible: Iterable[str] = ()) -> None:
        added = tokenizer.added_tokens_decoder
        shown = set(visible)
        self._added: dict[int, bytes] = {
            number: b"" if token.special and token.content not in shown else token.content.encode()
            for number, token in added.items()
        }
        decoder = json.loads(tokenizer.backend_tokenizer.to_str()).get("decoder") or {}
        self._table = _byte_of_character() if '"ByteLevel"' in json.dumps(decoder) else None
        self._piece = tokenizer.convert_ids_to_tokens

    def __call__(self, token: int) -> bytes:
        """Return the bytes of ``token``; an id outside the vocabulary stands for none."""
        if token in self._added:
            return self._added[token]
        piece: str | None = self._piece(token)
        if piece is None:
            return b""
        if self._table is not None:
            try:
                return bytes(self._table[character] for character in piece)
            except KeyError:  # a piece in plain characters, which tokenizers takes as they are
                return piece.encode()
        fallback = _BYTE_FALLBACK.fullmatch(piece)
        return bytes([int(fallback[1], 16)]) if fallback else piece.replace("▁", " ").encode()


class TextStream:
    """Turns the tokens of one reply into text, piece by piece."""

    def __init__(self, token_bytes: TokenBytes) -> None:
        self._token_bytes = token_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, tokens: Iterable[int]) -> str:
        """Return the characters that these tokens completed, perhaps none."""
        return self._decoder.decode(b"".join(map(self._token_bytes, tokens)))

    def finish(self) -> str:
        """Return what is left: U+FFFD where the reply ended inside a character."""
        return self._decoder.decode(b"", final=True)
