"""Prefixes of past conversations: the latest used in memory, colder ones on disk, the rest gone.

What is covered: memory and disk are bounded, the least recently used go first; spilled files are
this user's alone, their SHA-256 is kept in this process and checked before one is used again, and
all are erased on close; what a killed process left behind is erased by the next one. A directory
that cannot be used is refused when the model is loaded; what cannot be written later is forgotten,
which is said once.
What is not covered: whoever acts as the same user can read spilled files, which hold what was said
(in the form of keys and values), while the process runs; erasing is unlinking, not overwriting.
Whether a prompt shares a prefix with another conversation shows in the time its reading takes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import structlog
from filelock import FileLock, Timeout

from agentkit.errors import AgentkitError, ModelError
from agentkit.model.embedded.cache import owner_only
from agentkit.model.local.tensor_files import hash_file, map_tensors, write_tensors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkit.model.local.kv_snapshot import KvSnapshot

__all__ = ["PrefixPolicy", "PrefixStore", "common_prefix"]


@dataclass(frozen=True, slots=True)
class PrefixPolicy:
    """``memory_bytes``: for prefixes beside the running one. ``kv``: their format; ``int8`` takes
    half of bf16. ``spill``: a directory for colder ones, None to forget them; ``spill_bytes``: at
    most that much there. ``least_tokens``: shorter prefixes are not worth keeping.
    """

    memory_bytes: int = 1 << 30
    kv: Literal["auto", "int8"] = "auto"
    spill: Path | None = None
    spill_bytes: int = 8 << 30
    least_tokens: int = 32


@dataclass(slots=True)
class _Entry:
    """One prefix. ``snapshot`` has no tensors while they lie in ``file``."""

    snapshot: KvSnapshot
    nbytes: int
    file: Path | None = None
    sha256: str = ""


class PrefixStore:
    """Snapshots by their tokens, least recently used first.

    Raises ``ModelError`` where the directory for spilled ones cannot be used.
    """

    def __init__(self, policy: PrefixPolicy) -> None:
        self._policy = policy
        self._entries: OrderedDict[tuple[int, ...], _Entry] = OrderedDict()
        self._folder: Path | None = None
        self._lock: FileLock | None = None
        self._log = structlog.get_logger(__name__)
        self._told = False
        if policy.spill is not None:
            self._open_folder(policy.spill)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def memory_bytes(self) -> int:
        """Bytes held in memory."""
        return sum(one.nbytes for one in self._entries.values() if one.file is None)

    @property
    def spilled_bytes(self) -> int:
        """Bytes held on disk."""
        return sum(one.nbytes for one in self._entries.values() if one.file is not None)

    def add(self, snapshot: KvSnapshot | None) -> None:
        """Keep a snapshot, unless it is short or a kept one contains it."""
        if snapshot is None or len(snapshot.ids) < self._policy.least_tokens:
            return
        ids = snapshot.ids
        for known, entry in list(self._entries.items()):
            shared = common_prefix(known, ids)
            if shared == len(ids) and entry.snapshot.can_cut(shared):
                self._entries.move_to_end(known)
                return
            if shared == len(known) and snapshot.can_cut(shared):
                self._drop(known)
        snapshot = snapshot.in_int8() if self._policy.kv == "int8" else snapshot.compact()
        self._entries[ids] = _Entry(snapshot, snapshot.nbytes)
        self._shrink()

    def find(self, prompt: Sequence[int], limit: int) -> tuple[tuple[int, ...] | None, int, int]:
        """Return the entry that serves most of ``prompt``, how much, and the longest match.

        At most ``limit`` tokens. The longest match is more where an entry no longer holds what its
        cut would need.
        """
        best: tuple[int, ...] | None = None
        most = longest = 0
        for ids, entry in self._entries.items():
            shared = common_prefix(ids, prompt, limit)
            longest = max(longest, shared)
            if shared > most and entry.snapshot.can_cut(shared):
                best, most = ids, shared
        return best, most, longest

    def get(self, ids: tuple[int, ...], tokens: int) -> KvSnapshot | None:
        """Return the first ``tokens`` of an entry; None where its file is damaged or gone."""
        entry = self._entries[ids]
        snapshot = entry.snapshot
        if entry.file is not None:
            loaded = self._load(entry)
            if loaded is None:
                self._drop(ids)
                return None
            snapshot = loaded
            self._drop(ids)
            self._entries[ids] = _Entry(snapshot, snapshot.nbytes)
            self._shrink()
        else:
            self._entries.move_to_end(ids)
        return snapshot.cut(tokens)

    def close(self) -> None:
        """Forget everything and erase what was spilled."""
        self._entries.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        if self._lock is not None:
            self._lock.release()
            Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock = None

    def _drop(self, ids: tuple[int, ...]) -> None:
        entry = self._entries.pop(ids)
        if entry.file is not None:
            with contextlib.suppress(OSError):  # then it goes with the folder
                entry.file.unlink(missing_ok=True)

    def _shrink(self) -> None:
        """Spill, or forget, the least recently used until both bounds hold."""
        for ids, entry in list(self._entries.items()):
            if self.memory_bytes <= self._policy.memory_bytes:
                break
            if entry.file is None and not self._spill(ids, entry):
                self._drop(ids)
        for ids, entry in list(self._entries.items()):
            if self.spilled_bytes <= self._policy.spill_bytes:
                break
            if entry.file is not None:
                self._drop(ids)

    def _spill(self, ids: tuple[int, ...], entry: _Entry) -> bool:
        if self._folder is None or entry.nbytes > self._policy.spill_bytes:
            return False
        try:
            file = self._folder / f"{abs(hash(ids)):016x}.safetensors"
            entry.sha256 = write_tensors(file, entry.snapshot.tensors)
        except (OSError, AgentkitError) as error:
            if not self._told:
                self._told = True
                self._log.warning("prefix_not_spilled", reason=str(error), effect="it is forgotten")
            return False
        entry.file = file
        entry.snapshot = replace(entry.snapshot, tensors={})
        return True

    def _load(self, entry: _Entry) -> KvSnapshot | None:
        if entry.file is None:
            return entry.snapshot
        try:
            descriptor = os.open(entry.file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                if hash_file(descriptor) == entry.sha256:
                    tensors = map_tensors(entry.file, descriptor)
                    # Out of the mapping: the file goes, and no later write reaches a reply.
                    copied = {name: tensor.clone() for name, tensor in tensors.items()}
                    return replace(entry.snapshot, tensors=copied)
            finally:
                os.close(descriptor)
        except (OSError, ModelError) as error:
            self._log.warning("prefix_file_unreadable", problem=str(error), effect="read anew")
            return None
        self._log.warning("prefix_file_damaged", effect="the prompt is read anew")
        return None

    def _open_folder(self, root: Path) -> None:
        """Make this process's folder, and erase those of processes that were killed."""
        instead = "name another directory as spill, or leave spill out"
        base = owner_only(root, what="the directory for spilled prefixes", instead=instead)
        try:
            for other in base.glob("*.lock"):
                lock = FileLock(other, timeout=0)
                try:
                    with lock:
                        shutil.rmtree(other.with_suffix(""), ignore_errors=True)
                        other.unlink(missing_ok=True)
                except Timeout:
                    continue  # its process lives
            self._folder = Path(tempfile.mkdtemp(dir=base, prefix="kv-"))
            # Closed by another thread than the one that loads.
            self._lock = FileLock(self._folder.with_suffix(".lock"), thread_local=False)
            self._lock.acquire()
        except OSError as error:
            raise ModelError(
                f"the directory for spilled prefixes cannot be used: {error.strerror or error}",
                cure=f"let this user write to it, or {instead}",
                place=str(root),
            ) from error


def common_prefix(first: Sequence[int], second: Sequence[int], limit: int | None = None) -> int:
    """Return how many tokens both begin with, at most ``limit``."""
    most = min(len(first), len(second))
    most = most if limit is None else min(most, limit)
    return next((n for n in range(most) if first[n] != second[n]), most)
