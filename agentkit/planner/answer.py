"""What a turn gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentkit.audit import Receipt
    from agentkit.labels import Source
    from agentkit.messages import Message
    from agentkit.planner.output import Citation, Finding

__all__ = ["Answer", "TurnResult"]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one user message.

    ``sources``: what the model had read when it wrote the answer, beside the user's words and its
    instructions. ``citations``: what of the text was taken over from untrusted content, word by
    word. ``findings``: what was not let out as it was written. ``receipt``: the audit record of
    the answer. ``seconds``: each visit to each room of the turn.
    """

    text: str
    sources: tuple[Source, ...]
    receipt: Receipt
    run_id: str
    turn: int
    steps: int
    tool_calls: int
    tokens: int
    seconds: Mapping[str, tuple[float, ...]]
    citations: tuple[Citation, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class TurnResult:
    """The answer, and the conversation with this turn in it."""

    answer: Answer
    conversation: tuple[Message, ...]
