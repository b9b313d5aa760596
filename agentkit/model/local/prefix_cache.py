"""The KV caches of running streams, and the prefixes that the next prompt may begin from.

An agent's next prompt nearly always extends the last one, and other conversations of the same
agent begin with the same system prompt and tools. So each stream starts from whatever saves most:
the cache of a conversation that has ended (``idle``), that of one still running, or a past prefix
(see ``prefix_store``). Where a prefix is shared but a local layer no longer holds what its end
would need, the prompt is read anew and a snapshot is kept at that very place: the next prompt finds
it.

Caches share tensors and never write into them, so starting from another's prefix copies nothing
until the first pass. Running and idle caches together are at most ``places``, and their tokens at
most ``kv_tokens``: the idle ones used least recently make room, and what is worth keeping of them
goes to the store.

Logits after reuse equal those of a fresh read up to the rounding of a matrix product of another
shape; with int8, up to one part in 254 of each token's largest key or value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers import DynamicCache

from agentkit.model.local.kv_buffers import KvBuffers
from agentkit.model.local.kv_snapshot import take_snapshot
from agentkit.model.local.prefix_store import PrefixPolicy, PrefixStore, common_prefix
from agentkit.model.local.segments import Segment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedConfig

    from agentkit.model.local.kv_snapshot import KvSnapshot

__all__ = ["PrefixCache", "PrefixPolicy", "StreamCache"]


class StreamCache:
    """One stream's keys and values, and the token ids that they were made from.

    ``reserved``: how many tokens it may grow to.
    """

    def __init__(self, kv: DynamicCache, ids: Sequence[int], reserved: int) -> None:
        self.kv = kv
        self.ids = list(ids)
        self.reserved = reserved
        self.broken = False
        self._due: set[int] = set()

    def keep_at(self, tokens: int) -> None:
        """Have a snapshot kept when exactly ``tokens`` tokens have been read."""
        if tokens > len(self.ids):
            self._due.add(tokens)

    def segment(self, pending: Sequence[int], most: int) -> Segment:
        """Return what of ``pending`` to read next: at most ``most``, or to a due snapshot."""
        if self._due:
            most = min(most, min(self._due) - len(self.ids))
        return Segment(self.kv, tuple(pending[:most]))

    def grew(self, ids: Sequence[int]) -> bool:
        """Note that a pass has appended ``ids``; return whether a snapshot is due now."""
        self.ids.extend(ids)
        due = len(self.ids) in self._due
        self._due.discard(len(self.ids))
        return due


class PrefixCache:
    """All KV caches of one model. Not shared between threads: the model's lock guards it.

    ``places``: caches at most; ``kv_tokens``: tokens at most. ``buffers``: keep keys and values in
    buffers made ahead, which the native decode step needs.
    """

    def __init__(
        self,
        config: PreTrainedConfig,
        policy: PrefixPolicy | None = None,
        *,
        places: int,
        kv_tokens: int,
        buffers: bool = False,
    ) -> None:
        self._config = config
        self._buffers = buffers
        self._policy = policy or PrefixPolicy()
        self._places = places
        self._kv_tokens = kv_tokens
        self._closed = False
        self.store = PrefixStore(self._policy)
        self.running: list[StreamCache] = []
        self.idle: list[StreamCache] = []

    @property
    def least_tokens(self) -> int:
        """How long a shared prefix must be to be worth anything."""
        return self._policy.least_tokens

    @property
    def tokens(self) -> int:
        """Tokens that running caches may grow to, and that idle ones hold."""
        idle = sum(len(one.ids) for one in self.idle)
        return sum(one.reserved for one in self.running) + idle

    def forget(self) -> None:
        """Drop the caches of conversations that have ended."""
        self.idle.clear()

    def close(self) -> None:
        """Drop everything, later released streams too, and erase what was spilled to disk."""
        self._closed = True
        self.forget()
        self.store.close()

    def available(self, prompt: Sequence[int]) -> int:
        """Return how many tokens of ``prompt`` would need no reading if a stream opened now."""
        _, own, _ = self._live(prompt)
        return max(own, self.store.find(prompt, len(prompt) - 1)[1])

    def open(self, prompt: Sequence[int], reserved: int) -> StreamCache:
        """Return a cache that ``prompt`` continues; its ``ids`` are what needs no reading.

        At least one token of the prompt is always left to read, for its logits are wanted.
        """
        source, own, shared = self._live(prompt)
        found, most, longest = self.store.find(prompt, len(prompt) - 1)
        chosen: KvSnapshot | None = None
        if found is not None and most > own:
            chosen = self.store.get(found, most)
        if chosen is None and source is not None:
            snapshot = take_snapshot(source.kv, self._config, source.ids)
            chosen = snapshot.cut(own) if snapshot is not None else None
        if chosen is None:
            stream = StreamCache(self._empty(), (), reserved)
        else:
            stream = StreamCache(
                chosen.restore(self._config, buffers=self._buffers), chosen.ids, reserved
            )
        longest = max(longest, shared)
        if longest - len(stream.ids) >= self._policy.least_tokens:
            stream.keep_at(longest)
        self.running.append(stream)
        if source in self.idle and own == len(source.ids) == len(stream.ids):
            self.idle.remove(source)  # this stream goes on where that conversation stopped
        try:
            self._make_room(source, own)
        except BaseException:
            self.running.remove(stream)  # nobody else knows of it
            raise
        return stream

    def release(self, stream: StreamCache) -> None:
        """Take back the cache of a stream that has ended; the next prompt may go on from it."""
        self.running.remove(stream)
        if not self._closed and stream.ids and not stream.broken:
            self.idle.append(stream)
            self._make_room()

    def note_pass(self, stream: StreamCache, ids: Sequence[int]) -> None:
        """Note that a pass has appended ``ids`` to ``stream``."""
        if stream.grew(ids):
            self.store.add(take_snapshot(stream.kv, self._config, stream.ids))

    def _live(self, prompt: Sequence[int]) -> tuple[StreamCache | None, int, int]:
        """Return the cache that serves most of ``prompt``, how much, and the longest match."""
        best: StreamCache | None = None
        most = longest = 0
        for stream in [*self.running, *self.idle]:
            shared = 0 if stream.broken else common_prefix(stream.ids, prompt, len(prompt) - 1)
            longest = max(longest, shared)
            if shared and shared >= most:
                snapshot = take_snapshot(stream.kv, self._config, stream.ids)
                if snapshot is not None and snapshot.can_cut(shared):
                    best, most = stream, shared
        return best, most, longest

    def _make_room(self, source: StreamCache | None = None, own: int = 0) -> None:
        """Set idle caches aside until the bounds hold; of ``source``, ``own`` tokens live on."""
        while self.idle and (
            len(self.running) + len(self.idle) > self._places or self.tokens > self._kv_tokens
        ):
            gone = self.idle.pop(0)
            lives_on = own if gone is source else 0
            if len(gone.ids) - lives_on >= self._policy.least_tokens:
                self.store.add(take_snapshot(gone.kv, self._config, gone.ids))

    def _empty(self) -> DynamicCache:
        return KvBuffers(self._config) if self._buffers else DynamicCache(config=self._config)
