"""What one turn may spend, counted before it is spent."""

from __future__ import annotations

from dataclasses import dataclass

from agentkit.errors import TurnStopped

__all__ = ["Budget", "TurnLimits"]


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """Limits of one turn. ``steps``: model calls; ``tokens``: prompt and completion of all steps
    together; ``wall_s``: seconds from the user's message to the answer.

    No step begins once ``tokens`` are used, and a step that passes them is the turn's last: nothing
    it asked for is done. By how much it passes them its prompt decides, which is bounded by the
    model's context alone. ``wall_s`` ends a wait, of a model, a person or an async tool; it cannot
    end a plain function, which is waited for.
    """

    steps: int = 8
    tool_calls: int = 16
    tokens: int = 16_000
    wall_s: float = 120.0


@dataclass(slots=True)
class Budget:
    """The spending of one turn. Each method raises ``TurnStopped`` when its limit is passed."""

    limits: TurnLimits
    steps: int = 0
    tool_calls: int = 0
    tokens: int = 0

    @property
    def last_step(self) -> bool:
        """Whether the step that runs now is the last one allowed."""
        return self.steps >= self.limits.steps

    def take_step(self) -> None:
        """Count one model call, before it is made."""
        if self.steps >= self.limits.steps:
            raise self._stopped("steps", self.limits.steps)
        if self.tokens >= self.limits.tokens:
            raise self._stopped("tokens", self.limits.tokens)
        self.steps += 1

    def tokens_left(self, wanted: int) -> int:
        """Return how many of ``wanted`` completion tokens may still be written, at least 1."""
        return max(1, min(wanted, self.limits.tokens - self.tokens))

    def add_tokens(self, count: int) -> None:
        """Count tokens read and written by a model call that was made."""
        self.tokens += count
        if self.tokens > self.limits.tokens:
            raise self._stopped("tokens", self.limits.tokens)

    def take_calls(self, count: int) -> None:
        """Count tool calls, before any of them is decided over."""
        if self.tool_calls + count > self.limits.tool_calls:
            raise self._stopped("tool_calls", self.limits.tool_calls)
        self.tool_calls += count

    def _stopped(self, limit: str, value: int) -> TurnStopped:
        return TurnStopped(
            f"the turn reached its limit of {value} {limit.replace('_', ' ')} without an answer",
            reason=limit,
            cure=f"raise limits.{limit} in the specification, or ask for less at once",
        )
