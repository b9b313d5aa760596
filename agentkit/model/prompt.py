"""Prompts as segments, so that untrusted text can never become a control token.

A prompt is a sequence of ``Special`` (the name of one special token, written by us) and ``Plain``
(text of any origin, encoded with special tokens off). Only ``Special`` segments reach the
tokenizer's special vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Plain", "Prompt", "Segment", "Special", "as_text"]


@dataclass(frozen=True, slots=True)
class Special:
    """One special token by its name, such as ``<|eot|>``."""

    token: str


@dataclass(frozen=True, slots=True)
class Plain:
    """Text that is encoded as text, whatever it contains."""

    text: str


Segment = Special | Plain
Prompt = tuple[Segment, ...]


def as_text(prompt: Sequence[Segment]) -> str:
    """Return the prompt as a person would read it; never feed this back to a tokenizer."""
    return "".join(part.token if isinstance(part, Special) else part.text for part in prompt)
