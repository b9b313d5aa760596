"""From logits to one token: greedy, or seeded sampling with temperature and nucleus (top-p)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from agentkit.errors import ModelError

if TYPE_CHECKING:
    from agentkit.model.protocol import GenerationSettings

__all__ = ["Sampler", "check_settings"]


def check_settings(settings: GenerationSettings) -> None:
    """Raise ``ModelError`` where settings make no sense; NaN included."""
    if not (math.isfinite(settings.temperature) and settings.temperature >= 0):
        raise ModelError(
            f"temperature {settings.temperature} is not a number from 0 up",
            cure="use 0 for greedy decoding, or a value such as 0.7",
        )
    if not 0 < settings.top_p <= 1:
        raise ModelError(
            f"top_p {settings.top_p} is not in (0, 1]", cure="use 1.0 to switch it off"
        )
    if settings.max_tokens < 1:
        raise ModelError(f"max_tokens {settings.max_tokens} is below 1", cure="allow one token")


class Sampler:
    """Picks tokens as ``GenerationSettings`` say; the same seed picks the same tokens."""

    def __init__(self, settings: GenerationSettings) -> None:
        self._temperature = settings.temperature
        self._top_p = settings.top_p
        self._generator = torch.Generator().manual_seed(settings.seed)

    def pick(self, logits: torch.Tensor) -> int:
        """Return one token id for ``logits`` [vocab] fp32; minus infinity is never picked.

        Greedy takes the lowest id of equals. Raises ``ModelError`` where no token is possible.
        """
        if not bool(torch.isfinite(logits.max())):
            raise ModelError(
                "the model gave no usable logits (not a number, or every token forbidden)",
                cure="load it in float32; if that does not help, its weights are damaged",
            )
        if self._temperature == 0:
            return int(logits.argmax())
        # The best logit becomes 0 first, so that no temperature, however small, overflows.
        scaled = (logits - logits.max()).double() / self._temperature
        probabilities = torch.softmax(scaled, dim=-1)
        if self._top_p < 1:
            ordered, ids = torch.sort(probabilities, descending=True, stable=True)
            # A token stays if the mass before it has not reached top_p: the first always stays.
            before = torch.cumsum(ordered, dim=-1) - ordered
            probabilities = torch.zeros_like(probabilities).scatter_(
                0, ids, torch.where(before < self._top_p, ordered, 0.0)
            )
        return int(torch.multinomial(probabilities, 1, generator=self._generator))
