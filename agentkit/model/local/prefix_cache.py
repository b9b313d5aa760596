"""The KV cache in use, and the prefixes that the next prompt may begin from.

An agent's next prompt nearly always extends the last one, and other conversations of the same
agent begin with the same system prompt and tools. So the running cache is cut to what the next
prompt shares with it, or set aside (see ``prefix_store``) and another prefix is taken up, whichever
saves more. Where a prefix is shared but a local layer no longer holds what its end would need, the
prompt is read anew and a snapshot is kept at that very place: the next prompt finds it.

Logits after reuse equal those of a fresh read up to the rounding of a matrix product of another
shape; with int8, up to one part in 254 of each token's largest key or value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers import DynamicCache

from agentkit.model.local.kv_buffers import KvBuffers
from agentkit.model.local.kv_snapshot import take_snapshot
from agentkit.model.local.prefix_store import PrefixPolicy, PrefixStore, common_prefix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedConfig

    from agentkit.model.local.kv_snapshot import KvSnapshot

__all__ = ["PrefixCache", "PrefixPolicy"]


class PrefixCache:
    """One KV cache together with the token ids that it was filled with, and past prefixes.

    ``owner``: the generation that filled it last; another one must call ``reuse`` first.
    ``buffers``: keep keys and values in buffers made ahead, which the native decode step needs.
    """

    def __init__(
        self,
        config: PreTrainedConfig,
        policy: PrefixPolicy | None = None,
        *,
        buffers: bool = False,
    ) -> None:
        self._config = config
        self._buffers = buffers
        self._policy = policy or PrefixPolicy()
        self.store = PrefixStore(self._policy)
        self.owner: object = None
        self.ids: list[int] = []
        self.kv = self._empty()
        self._keep_at = 0

    def forget(self) -> None:
        """Drop the running cache; needed after a forward pass that broke off in the middle."""
        self.owner = None
        self.ids = []
        self.kv = self._empty()
        self._keep_at = 0

    def close(self) -> None:
        """Drop everything, and erase what was spilled to disk."""
        self.forget()
        self.store.close()

    def reuse(self, prompt: Sequence[int]) -> int:
        """Make the cache one that ``prompt`` continues; return how many tokens need no reading.

        At least one token of the prompt is always left to read, for its logits are wanted.
        """
        limit = len(prompt) - 1
        live = take_snapshot(self.kv, self._config, self.ids)
        shared = common_prefix(self.ids, prompt, limit)
        own = shared if live is not None and live.can_cut(shared) else 0
        found, most, longest = self.store.find(prompt, limit)
        longest = max(longest, shared)
        chosen: KvSnapshot | None = live.cut(own) if live is not None and own else None
        if live is not None and len(live.ids) - own >= self._policy.least_tokens:
            self.store.add(live)
        if found is not None and most > own:
            chosen = self._take_up(found, most) or chosen
        self.forget()
        if chosen is not None:
            self.kv = chosen.restore(self._config, buffers=self._buffers)
            self.ids = list(chosen.ids)
        if longest - len(self.ids) >= self._policy.least_tokens:
            self._keep_at = longest
        return len(self.ids)

    def pass_tokens(self, wanted: int) -> int:
        """Return how many tokens the next pass may read: it ends where a snapshot is due."""
        due = self._keep_at - len(self.ids)
        return min(wanted, due) if due > 0 else wanted

    def note_pass(self, ids: Sequence[int]) -> None:
        """Note that a forward pass has appended ``ids``."""
        self.ids.extend(ids)
        if self._keep_at and len(self.ids) >= self._keep_at:
            self._keep_at = 0
            self.store.add(take_snapshot(self.kv, self._config, self.ids))

    def _empty(self) -> DynamicCache:
        return KvBuffers(self._config) if self._buffers else DynamicCache(config=self._config)

    def _take_up(self, ids: tuple[int, ...], tokens: int) -> KvSnapshot | None:
        """Return a kept prefix; adding the running one may have pushed it out."""
        found, most, _ = self.store.find(ids, tokens)
        return self.store.get(found, most) if found is not None and most == tokens else None
