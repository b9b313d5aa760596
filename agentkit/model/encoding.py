"""From a prompt's segments to token ids: the one place where text meets a tokenizer.

What is covered:
- Text of ``Plain`` segments never yields the id of a control token, whatever it spells. Hugging
  Face tokenizers split *added* tokens out of any text before the model sees it, and their own
  switch (``split_special_tokens``) spares only those flagged special; so text is encoded by a copy
  of the tokenizer that knows no added token but runs of white space, and the ids are checked: where
  a vocabulary itself holds a control token as an ordinary piece (Unigram), the text is cut inside
  that piece and encoded again.
- So are pieces named ``<|...|>``, as all control tokens of prompt formats are, where a tokenizer
  does not list them as added tokens; and a control token that is the unknown token as well.
- ``Special`` segments are looked up among the control tokens; any other name is an error, not text.

What is not covered: text that merely reads like a control token to a model (``[INST]`` for a model
without such a token); and each segment is encoded by itself, so a tokenizer that puts a space in
front of every text does so for every segment.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from agentkit.errors import ModelError
from agentkit.model.prompt import Special

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    from agentkit.model.prompt import Prompt

__all__ = ["PromptEncoder", "encode"]

_CONTROL_NAME: Final = re.compile(r"<\|.+\|>")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class PromptEncoder:
    """Encodes prompts for one tokenizer. Built once per tokenizer: it makes a copy of it.

    Raises ``ModelError`` where the tokenizer is not a fast one. Safe to share between threads.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise ModelError(
                f"{type(tokenizer).__name__} is not a fast tokenizer",
                cure="use a model that ships tokenizer.json",
            )
        self._specials: Tokenizer = backend
        added = {
            number: token.content for number, token in backend.get_added_tokens_decoder().items()
        }
        self._control_ids = {number for number, text in added.items() if text.strip()}
        self._control_ids |= set(tokenizer.all_special_ids)
        named = {
            number for text, number in backend.get_vocab().items() if _CONTROL_NAME.fullmatch(text)
        }
        self._control_ids |= named
        # The unknown token stands for text, unless prompts or replies use it for something else.
        unknown: int | None = tokenizer.unk_token_id
        if unknown in named | {tokenizer.bos_token_id, tokenizer.eos_token_id}:
            unknown = None
        self._unknown_id = unknown
        self._plain, self._renumbered = _without_control_tokens(backend)

    @property
    def control_ids(self) -> frozenset[int]:
        """Ids that text can never yield."""
        return frozenset(self._control_ids - {self._unknown_id})

    def encode(self, prompt: Prompt) -> list[int]:
        """Return the prompt's token ids. Raises ``ModelError`` for an unknown special token."""
        ids: list[int] = []
        for segment in prompt:
            if isinstance(segment, Special):
                ids.append(self.special_id(segment.token))
            else:
                ids.extend(self.encode_text(segment.text))
        return ids

    def special_id(self, token: str) -> int:
        """Return a special token's id; ``ModelError`` where the vocabulary lacks it."""
        number = self._specials.token_to_id(token)
        if number is None or number not in self._control_ids:
            raise ModelError(
                f"the tokenizer has no special token {token}",
                cure="choose the prompt format of this model's family",
            )
        return int(number)

    def encode_text(self, text: str) -> list[int]:
        """Return the ids of ``text`` as text. Unpaired surrogates become U+FFFD."""
        rest = [text if text.isascii() else _well_formed(text)]
        ids: list[int] = []
        while rest:
            piece = rest.pop()
            encoding = self._plain.encode(piece, add_special_tokens=False)
            numbers = [self._renumbered.get(number, number) for number in encoding.ids]
            found = self._spelled_control_tokens(numbers, encoding.offsets)
            if not found:
                ids.extend(numbers)
            elif len(piece) == 1:
                raise ModelError(
                    f"the tokenizer encodes the character {piece!r} as a control token",
                    cure="use another tokenizer: text and control tokens cannot be told apart",
                )
            else:
                cuts = [0, *found, len(piece)]
                pieces = [piece[start:end] for start, end in pairwise(cuts)]
                rest.extend(reversed([part for part in pieces if part]))
        return ids

    def _spelled_control_tokens(
        self, ids: Sequence[int], offsets: Sequence[tuple[int, int]]
    ) -> list[int]:
        """Return, in order, the positions at which to cut text that spelled control tokens."""
        found = {
            start + 1
            for number, (start, _) in zip(ids, offsets, strict=True)
            if number in self._control_ids and number != self._unknown_id
        }
        return sorted(found)


def encode(prompt: Prompt, tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Return the prompt's token ids, once; keep a ``PromptEncoder`` to do it often."""
    return PromptEncoder(tokenizer).encode(prompt)


def _well_formed(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text)


def _without_control_tokens(backend: Tokenizer) -> tuple[Tokenizer, dict[int, int]]:
    """Return a copy that knows no added token but runs of white space, and its ids that differ.

    The copy hands out ids of added tokens anew, in order; the map leads back to the original's.
    """
    from tokenizers import Tokenizer  # noqa: PLC0415 (part of the optional local runtime)

    state = json.loads(backend.to_str())
    spaces = [token for token in state["added_tokens"] if not token["content"].strip()]
    state.update(truncation=None, padding=None, added_tokens=spaces)
    copy = Tokenizer.from_str(json.dumps(state))
    kept = {token.content: number for number, token in copy.get_added_tokens_decoder().items()}
    return copy, {kept[token["content"]]: int(token["id"]) for token in spaces}
