"""The KV cache of the last conversation, and how much of it the next prompt may reuse.

The cache is transformers' ``DynamicCache``: full layers keep all keys, chunked (local) layers the
last chunk - 1. An agent's next prompt nearly always extends the last one, so its common prefix
need not be read again. What differs is cut off; where a chunked layer has already dropped what
the cut would need again, everything is read anew. Logits after reuse equal those of a fresh read
up to the rounding of a matrix product of another shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedConfig

__all__ = ["PrefixCache"]


class PrefixCache:
    """One KV cache together with the token ids that it was filled with.

    ``owner``: the generation that filled it last; another one must call ``reuse`` first.
    """

    def __init__(self, config: PreTrainedConfig) -> None:
        self._config = config
        self.owner: object = None
        self.ids: list[int] = []
        self.kv: DynamicCache = DynamicCache(config=config)

    def forget(self) -> None:
        """Drop everything; needed after a forward pass that broke off in the middle."""
        self.owner = None
        self.ids = []
        self.kv = DynamicCache(config=self._config)

    def reuse(self, prompt: Sequence[int]) -> int:
        """Cut the cache down to what ``prompt`` may continue; return how many tokens those are.

        At least one token of the prompt is always left to read, for its logits are wanted.
        """
        limit = min(len(self.ids), len(prompt) - 1)
        common = next((i for i in range(limit) if self.ids[i] != prompt[i]), limit)
        surplus = len(self.ids) - common
        if surplus and not (common and self._can_cut()):
            self.forget()
        elif surplus:
            self.kv.crop(-surplus)
            del self.ids[common:]
        return len(self.ids)

    def _can_cut(self) -> bool:
        """Whether every layer still holds all its keys and knows how to drop the last ones."""
        for layer in self.kv.layers:
            if type(layer) is DynamicSlidingWindowLayer:
                if layer.get_seq_length() >= layer.sliding_window:
                    return False
            elif type(layer) is not DynamicLayer:
                return False
        return True
