"""What a guard says: one ``Verdict``, whichever detector spoke and wherever the content stood."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Action", "Boundary", "Span", "Verdict", "most_restrictive"]


class Boundary(StrEnum):
    """Where content crosses."""

    USER_INPUT = "user_input"
    TOOL_ARGUMENTS = "tool_arguments"
    TOOL_RESULT = "tool_result"
    MODEL_OUTPUT = "model_output"


class Action(StrEnum):
    """What must be done with the content, from mildest to most restrictive."""

    ALLOW = "allow"
    REDACT = "redact"
    REVIEW = "review"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Span:
    """A found passage: character offsets ``[start, end)`` in the judged text, and what it is."""

    start: int
    end: int
    category: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """One judgement of one text.

    ``categories``: what was found (``S14``, ``secret.aws_access_key``, ``hidden_text.tag``).
    ``score``: the detector's confidence that the content is bad, 0 to 1. ``redacted``: the text
    with its spans replaced, given exactly when ``action`` is ``redact``. ``reason``: one sentence
    for a person. ``elapsed_s``: seconds spent.
    """

    action: Action
    detector: str
    categories: tuple[str, ...] = ()
    score: float = 0.0
    spans: tuple[Span, ...] = ()
    reason: str = ""
    redacted: str | None = None
    elapsed_s: float = 0.0


_ORDER = {action: rank for rank, action in enumerate(Action)}


def most_restrictive(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict with the most restrictive action; ValueError where there is none."""
    return max(verdicts, key=lambda verdict: _ORDER[verdict.action])
