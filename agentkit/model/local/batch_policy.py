"""How many streams one model runs side by side, and how many may wait."""

from __future__ import annotations

from dataclasses import dataclass

from agentkit.errors import ModelError

__all__ = ["BatchPolicy"]

_KV_TOKENS = 32_768


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """``streams``: generations at once. ``queue``: how many more may wait; the next is refused.

    ``kv_tokens``: tokens in the KV caches of all streams together, each counted with its prompt
    and the longest reply it may write; None: 32,768, or one whole context where that is more.
    ``ahead``: tokens that a stream may be ahead of whoever reads it; then it pauses.
    """

    streams: int = 8
    queue: int = 32
    kv_tokens: int | None = None
    ahead: int = 16

    def __post_init__(self) -> None:
        """Refuse numbers with which nothing could ever run."""
        for name, least in (("streams", 1), ("queue", 0), ("kv_tokens", 2), ("ahead", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ModelError(f"{name} is {value}", cure=f"give at least {least}")

    def resolve_tokens(self, context_tokens: int) -> int:
        """Return the bound on KV tokens for a model of that context."""
        if self.kv_tokens is not None:
            return self.kv_tokens
        return min(self.streams * context_tokens, max(context_tokens, _KV_TOKENS))
