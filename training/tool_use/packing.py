"""Scenes as rows of tokens: the system message once, its conversations beside one another.

A row is a forest. Each token sees its scene's system message and the earlier part of its own
conversation, at the positions it would have if that conversation stood alone; so ten
conversations cost one reading of the tools, and each is computed exactly as at run time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING

import torch

from agentkit.messages import Message
from agentkit.model.encoding import PromptEncoder
from agentkit.model.formats.chatml import ChatmlFormat
from agentkit.model.prompt import Plain, Special
from agentkit.model.protocol import Constraint
from training.tool_use.scene import Scene, draw_scene

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from transformers import PreTrainedTokenizerFast

    from agentkit.model.prompt import Prompt

__all__ = ["Batch", "Packer"]

_FORMAT = ChatmlFormat()


@dataclass(frozen=True, slots=True)
class Batch:
    """tokens, positions: [B, T] int64; mask: [B, T, T] bool, true where the column may be seen;
    supervised: [B, T] bool, true for tokens the assistant wrote.
    """

    tokens: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    supervised: torch.Tensor


class _Row:
    """A row that is being filled."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.positions: list[int] = []
        self.scenes: list[int] = []
        self.branches: list[int] = []
        self.supervised: list[bool] = []

    def put(
        self, tokens: Sequence[int], start: int, scene: int, branch: int, learn: Sequence[bool]
    ) -> None:
        self.tokens += tokens
        self.positions += range(start, start + len(tokens))
        self.scenes += [scene] * len(tokens)
        self.branches += [branch] * len(tokens)
        self.supervised += learn


class Packer:
    """Draws scenes by seed and packs them into rows of one length."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, length: int) -> None:
        self._encoder = PromptEncoder(tokenizer)
        self._plain = lru_cache(4096)(lambda text: tuple(self._encoder.encode_text(text)))
        self._length = length

    def batch(self, rows: int, seed: int) -> Batch:
        """Return the batch of a seed: the same one whenever it is asked for."""
        rng = Random(seed)  # noqa: S311  # repeatable data, no secret
        filled = [self._row(rng) for _ in range(rows)]
        length = max(len(row.tokens) for row in filled)

        def column(name: str, blank: int) -> torch.Tensor:
            listed = [getattr(row, name) for row in filled]
            return torch.tensor([[*items, *[blank] * (length - len(items))] for items in listed])

        scenes, branches = column("scenes", -1), column("branches", -1)
        order = torch.arange(length)
        mask = scenes[:, :, None] == scenes[:, None, :]
        mask &= (branches[:, None, :] == 0) | (branches[:, :, None] == branches[:, None, :])
        mask &= order[:, None] >= order[None, :]
        return Batch(
            column("tokens", 2), column("positions", 0), mask, column("supervised", 0).bool()
        )

    def _row(self, rng: Random) -> _Row:
        row, scene = _Row(), 0
        while self._length - len(row.tokens) > 160:  # noqa: PLR2004  # room for another scene
            drawn = draw_scene(rng)
            prefix, branches = self.encode(drawn)
            room = self._length - len(row.tokens) - len(prefix)
            fitting = []
            for tokens, learn in branches:
                if len(tokens) <= room:
                    fitting.append((tokens, learn))
                    room -= len(tokens)
            if not fitting:
                if scene == 0:
                    continue
                break
            row.put(prefix, 0, scene, 0, [False] * len(prefix))
            for number, (tokens, learn) in enumerate(fitting, start=1):
                row.put(tokens, len(prefix), scene, number, learn)
            scene += 1
        return row

    def encode(self, scene: Scene) -> tuple[list[int], list[tuple[list[int], list[bool]]]]:
        """Return the system message's tokens, and each conversation's with what is learnt of it."""
        system = [Message.system(scene.system)] if scene.system else []
        opening = _FORMAT.render(system, scene.tools, Constraint())[: -len(_HEADER)]
        prefix = [token for segment in opening for token in self._ids(segment)]
        branches = []
        for conversation in scene.conversations:
            prompt = _FORMAT.render([*system, *conversation], scene.tools, Constraint())
            branches.append(self._learnt(prompt[len(opening) : -len(_HEADER)]))
        return prefix, branches

    def _ids(self, segment: Plain | Special) -> Sequence[int]:
        if isinstance(segment, Special):
            return (self._encoder.special_id(segment.token),)
        return self._plain(segment.text)

    def _learnt(self, prompt: Prompt) -> tuple[list[int], list[bool]]:
        """Tokens, and which of them the assistant writes: its text and the token that ends it."""
        tokens: list[int] = []
        learn: list[bool] = []
        for start, header, segment in _walk(prompt):
            ids = self._ids(segment)
            tokens += ids
            learn += [start == "assistant" and not header] * len(ids)
        return tokens, learn


def _walk(prompt: Prompt) -> Iterator[tuple[str, bool, Plain | Special]]:
    """Yield each segment with its message's role, and whether it is outside of what is said."""
    role, place = "", 0
    for segment in prompt:
        if segment == Special("<|im_start|>"):
            role, place = "", -1
        place += 1
        if place == 1 and isinstance(segment, Plain):
            role = segment.text
        # A message is: start, role, line break, text, end, line break.
        yield role, place not in {3, 4}, segment


_HEADER = (Special("<|im_start|>"), Plain("assistant"), Plain("\n"))
