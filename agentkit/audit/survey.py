"""A whole log in one pass: the walk, its signed checkpoints, and what its records leave open."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentkit.audit.checkpoint import Checkpoint, open_checkpoint
from agentkit.audit.keys import VerifierKey
from agentkit.audit.ledger import Ledger
from agentkit.audit.merkle import Frontier
from agentkit.audit.notebook import Notes, read_notes
from agentkit.audit.record import Record
from agentkit.audit.walk import Problem, TornTail, Walk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Signed", "Survey"]


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint and the note that carries it."""

    head: Checkpoint
    note: str

    @property
    def size(self) -> int:
        """How many records it covers."""
        return self.head.size


class Survey:
    """Iterate it once: yields every record and every problem; what remains is in its attributes.

    A log is signed for before its first record, so records without any stored checkpoint are a
    problem: whoever has no key could have written them all.

    ``walk``: where the log ended. ``ledger``: what is open. ``notes``: the stored checkpoints.
    ``torn``: what a crash left at the end.
    ``checkpoints``: those whose signature and root are right, by size. ``key``: what they were
    checked with: the pinned one, else the one that the log names itself.
    """

    def __init__(
        self, directory: Path, *, key: VerifierKey | None = None, external: str | None = None
    ) -> None:
        """``key``: pinned by the caller. ``external``: a checkpoint that was kept elsewhere.

        Raises OSError where the directory cannot be listed.
        """
        self.directory = directory
        self.key = key
        self.ledger = Ledger()
        self.notes = Notes((), 0, 0)
        self.checkpoints: list[Signed] = []
        self.torn: TornTail | None = None
        self._external = external
        self._heads: deque[Signed] = deque()
        self._opened = False
        self._notes_error = ""
        # Notes first: a live writer appends a note only after the records that it covers.
        self._read_notes()
        self.walk = Walk(directory)

    @property
    def signed(self) -> int:
        """How many records the last of ``checkpoints`` covers."""
        return self.checkpoints[-1].size if self.checkpoints else 0

    def __iter__(self) -> Iterator[Record | Problem | TornTail]:
        for found in self.walk:
            if not self._opened:
                yield from self._open_notes()
            yield found
            if isinstance(found, TornTail):
                self.torn = found
            if isinstance(found, Record):
                self.ledger.follow(found)
                yield from self._compare()
        if not self._opened:
            yield from self._open_notes()
        if self._heads and self.walk.intact:
            yield Problem(
                self.walk.size,
                self.walk.segment,
                self.walk.end,
                f"a signed checkpoint covers {self._heads[-1].size} records,"
                f" the log holds {self.walk.size}: records are gone",
            )
        if self.walk.size and not self.notes.notes and not self._notes_error:
            what = "there are records, but the checkpoint that the log began with is gone"
            yield Problem(-1, -1, -1, what)

    def _read_notes(self) -> None:
        try:
            self.notes = read_notes(self.directory)
        except OSError as error:
            self._notes_error = f"the file of checkpoints is unreadable: {error.strerror}"

    def _open_notes(self) -> Iterator[Problem]:
        self._opened = True
        if not self.notes.notes and not self._notes_error:
            self._read_notes()  # a live writer may have begun the log since the first look
        if self._notes_error:
            yield Problem(-1, -1, -1, self._notes_error)
        yield from self._choose_key()
        if self.key is None:
            return
        heads: list[Signed] = []
        external = [] if self._external is None else [self._external]
        for number, note in enumerate([*self.notes.notes, *external]):
            try:
                heads.append(Signed(open_checkpoint(note, self.key), note))
            except ValueError as error:
                stored = number < len(self.notes.notes)
                which = f"stored checkpoint {number}" if stored else "the given checkpoint"
                yield Problem(-1, -1, -1, f"{which}: {error}")
        self._heads.extend(sorted(heads, key=lambda head: head.size))
        yield from self._compare_empty()

    def _choose_key(self) -> Iterator[Problem]:
        header = self.walk.header
        if header is None:
            if self.notes.notes or self._external is not None:
                yield Problem(-1, -1, -1, "checkpoints cannot be checked: no segment is readable")
            return
        try:
            named = VerifierKey.parse(header.key)
        except ValueError as error:
            yield Problem(-1, 0, 0, f"the header's key: {error}")
            return
        if self.key is None:
            self.key = named
        elif self.key != named:
            yield Problem(-1, 0, 0, "the log names another key than the one given")

    def _compare_empty(self) -> Iterator[Problem]:
        """Check the heads of the empty tree, which no record precedes."""
        while self._heads and self._heads[0].size == 0:
            signed = self._heads.popleft()
            if signed.head.root == Frontier().root():
                self.checkpoints.append(signed)
            else:
                yield Problem(-1, -1, -1, "a checkpoint of size 0 has the wrong root")

    def _compare(self) -> Iterator[Problem]:
        """Check the heads that the walk has reached."""
        while self._heads and self._heads[0].size <= self.walk.size:
            signed = self._heads.popleft()
            head = signed.head
            if not self.walk.intact:
                what = f"the checkpoint of size {head.size} cannot be checked behind the damage"
            elif head.size < self.walk.size or head.root != self.walk.frontier.root():
                what = f"the records are not those of the signed checkpoint of size {head.size}"
            else:
                self.checkpoints.append(signed)
                continue
            self._heads.clear()  # all later ones fail for the same reason
            yield Problem(head.size - 1, self.walk.segment, -1, what)
