"""The log's writer: append an event, and it is on disk, chained and signed for.

What is covered: an append returns only after its record is durable; one writer; after any failed
write the log refuses everything until it is opened again, so that tools stop; what cannot be
recorded without loss is refused before anything is written.

What is not covered: events that nobody appends; an attacker with the signing key and the disk
(see ``keys``); network file systems whose locks or flushes do nothing.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

import anyio
import anyio.lowlevel
import anyio.to_thread

from agentkit.audit.checkpoint import Checkpoint, sign_checkpoint
from agentkit.audit.event import AuditEvent, EventKind, Receipt
from agentkit.audit.faults import as_audit_errors
from agentkit.audit.frames import frame
from agentkit.audit.group import GroupCommit
from agentkit.audit.keys import VerifierKey
from agentkit.audit.ledger import Ledger
from agentkit.audit.merkle import leaf_hash
from agentkit.audit.opening import (
    Files,
    Opened,
    open_for_reading,
    open_for_writing,
    recovery_events,
)
from agentkit.audit.record import Draft, parse_record
from agentkit.audit.segment import SegmentWriter
from agentkit.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from agentkit.audit.record import Record

__all__ = ["AuditLog"]

_BATCH = 64
_THREADS: anyio.lowlevel.RunVar[anyio.CapacityLimiter] = anyio.lowlevel.RunVar("agentkit.audit")


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class _Settings:
    segment_bytes: int
    checkpoint_events: int
    checkpoint_seconds: float
    clock: Callable[[], datetime]


class AuditLog:
    """An append-only log in a directory. Open it with ``AuditLog.open``; safe across threads."""

    def __init__(self, directory: Path, opened: Opened, settings: _Settings) -> None:
        """Use ``AuditLog.open``."""
        self._directory = directory
        self._opened = opened
        self._files = opened.files
        self._settings = settings
        self._public = VerifierKey.parse(opened.header.key)
        self._signed_at = time.monotonic()
        self._failure: AuditError | None = None
        self._process = os.getpid()
        self._group: GroupCommit[Draft, Receipt] = GroupCommit(self._commit, _BATCH)

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        key: Path | str | None = None,
        read_only: bool = False,
        segment_bytes: int = 64 * 1024 * 1024,
        checkpoint_events: int = 1000,
        checkpoint_seconds: float = 60.0,
        clock: Callable[[], datetime] = _utc_now,
    ) -> AuditLog:
        """Open the log in directory ``path``, which is created where there is none.

        ``key``: the signing key's file, by default ``PATH.key`` beside the directory; created on
        first use. ``read_only``: check and look, append nothing, take no lock.
        ``segment_bytes``: a new file is begun behind this size. A checkpoint is signed after
        ``checkpoint_events`` records, with the first record after ``checkpoint_seconds``, and at
        close. Raises ``AuditError`` where the directory or key is unusable or another writer is
        at work, ``AuditDamaged`` where the content contradicts itself; then nothing was changed.
        """
        directory = Path(path)
        settings = _Settings(segment_bytes, checkpoint_events, checkpoint_seconds, clock)
        with as_audit_errors(directory):
            if read_only:
                return cls(directory, open_for_reading(directory), settings)
            key_path = Path(key) if key else _key_beside(directory)
            log = cls(directory, open_for_writing(directory, key_path), settings)
            try:
                for event in recovery_events(directory, log._opened):
                    log.append(event)
            except BaseException:
                log._close(sign=False)  # what was found unsigned is not all on record
                raise
            return log

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def path(self) -> Path:
        """The log's directory."""
        return self._directory

    @property
    def public_key(self) -> str:
        """The line that verifiers need; it is no secret. Give it away early."""
        return str(self._public)

    @property
    def size(self) -> int:
        """How many records there are."""
        return self._opened.frontier.size

    def append(self, event: AuditEvent) -> Receipt:
        """Record ``event``; it is on disk when this returns. Blocks, from any thread.

        Raises ``AuditError``: where the event is no JSON or too large, nothing was written and
        the log goes on; where the disk failed, this and every later append is refused.
        """
        self._usable_files()
        return self._group.submit(Draft.of(event))

    async def record(self, event: AuditEvent) -> Receipt:
        """``append`` in a worker thread. Cancellation waits until the record is durable."""
        return await anyio.to_thread.run_sync(self.append, event, limiter=_threads())

    def checkpoint(self) -> str:
        """Sign and store the present size and root; return the note, to be kept elsewhere."""
        with self._group.exclusive(), self._poisoning():
            return self._sign(self._usable_files())

    def erase(self, commitments: Iterable[str], *, reason: str, run_id: str = "") -> Receipt:
        """Log the erasure of sealed values, then erase them from the side store for good.

        ``reason`` stands in the log in plain text. The commitments stay, the chain stays whole;
        an erasure that a crash interrupts is finished when the log is opened. ``read.erase``
        finds the commitments by index, call or run.
        """
        named = list(commitments)
        event = AuditEvent(
            kind=EventKind.ERASURE,
            run_id=run_id,
            body={"commitments": [*named], "reason": reason},
        )
        receipt = self.append(event)
        with self._group.exclusive():
            files = self._usable_files()
            try:
                files.store.erase(named, receipt.index)
            except sqlite3.Error as error:
                raise AuditError(
                    f"the erasure is logged, but not done: {error}",
                    cure="end whoever reads the side store, then open the log again: that does it",
                    place=str(self._directory),
                ) from error
        return receipt

    def intents_without_outcome(self) -> tuple[Record, ...]:
        """Return the intents whose outcome was not recorded: what may have run, or half run."""
        with self._group.exclusive():
            return tuple(self._opened.ledger.intents.values())

    def close(self) -> None:
        """Sign a last checkpoint and close; does nothing the second time, or in a forked child."""
        # In a child, even SQLite's own closing would reach into the parent's files.
        if os.getpid() == self._process:
            self._close(sign=True)

    def _close(self, *, sign: bool) -> None:
        with self._group.exclusive():
            files, self._files = self._files, None
            if files is None:
                return
            try:
                if sign and self._failure is None and self._opened.signed < self.size:
                    with self._poisoning():
                        self._sign(files)
            finally:
                files.close()

    async def aclose(self) -> None:
        """``close`` in a worker thread."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.close, limiter=_threads())

    def _usable_files(self) -> Files:
        if self._failure is not None:
            raise AuditError(
                f"the audit log is closed after a failure: {self._failure.message}",
                cure=self._failure.cure,
                place=self._failure.place,
            )
        if self._files is None:
            raise AuditError(
                "the audit log is closed or read-only",
                cure="open it for writing",
                place=str(self._directory),
            )
        if os.getpid() != self._process:
            raise AuditError(
                "a forked process must not write its parent's audit log",
                cure="open another log in the child, or let the parent write",
                place=str(self._directory),
            )
        return self._files

    def _commit(self, batch: Sequence[Draft]) -> list[Receipt]:
        """Write a batch; runs in one thread at a time."""
        files = self._usable_files()
        with self._poisoning():
            receipts = self._write(files, batch)
        try:
            with self._poisoning():
                self._sign_when_due(files)
        except AuditError:
            # These records are durable, so their receipts hold; the next append is refused.
            return receipts
        return receipts

    def _write(self, files: Files, batch: Sequence[Draft]) -> list[Receipt]:
        opened = self._opened
        if files.segment.size >= self._settings.segment_bytes:
            self._rotate(files)
        frontier, prev = opened.frontier.copy(), opened.prev
        payloads: list[bytes] = []
        receipts: list[Receipt] = []
        for draft in batch:
            index = frontier.size
            payload = draft.spell(index, prev, self._now())
            leaf = leaf_hash(payload)
            frontier.append(leaf)
            prev = leaf.hex()
            payloads.append(payload)
            receipts.append(Receipt(index, prev))
        secrets = [
            (receipt.index, sealed)
            for receipt, draft in zip(receipts, batch, strict=True)
            for sealed in draft.sealed
        ]
        if secrets:
            files.store.add(secrets)
        files.segment.append(b"".join(frame(payload) for payload in payloads))
        opened.frontier, opened.prev = frontier, prev
        for draft, payload in zip(batch, payloads, strict=True):
            if draft.kind in Ledger.FOLLOWED:
                opened.ledger.follow(parse_record(payload))
        return receipts

    def _rotate(self, files: Files) -> None:
        opened = self._opened
        header = replace(
            opened.header,
            segment=files.segment.number + 1,
            first=opened.frontier.size,
            prev=opened.prev,
            root=opened.frontier.root().hex(),
        )
        fresh = SegmentWriter.create(self._directory, header)
        files.segment.close()
        files.segment = fresh
        opened.prev = header.digest().hex()

    def _sign_when_due(self, files: Files) -> None:
        unsigned = self.size - self._opened.signed
        elapsed = time.monotonic() - self._signed_at
        if (
            unsigned >= self._settings.checkpoint_events
            or elapsed >= self._settings.checkpoint_seconds
        ):
            self._sign(files)

    def _sign(self, files: Files) -> str:
        frontier = self._opened.frontier
        head = Checkpoint(self._public.name, frontier.size, frontier.root())
        note = sign_checkpoint(head, files.key, self._public)
        files.notebook.append(note)
        self._opened.signed = frontier.size
        self._signed_at = time.monotonic()
        return note

    def _now(self) -> str:
        # Not strftime, whose %Y writes a year before 1000 with fewer digits than a record has.
        now = self._settings.clock().astimezone(UTC).replace(tzinfo=None)
        return f"{now.isoformat(timespec='microseconds')}Z"

    @contextmanager
    def _poisoning(self) -> Iterator[None]:
        """Whatever interrupts a write ends the log: its state on disk is no longer known."""
        try:
            with as_audit_errors(self._directory):
                yield
        except AuditError as error:
            self._failure = error
            raise
        except BaseException as error:
            self._failure = AuditError(
                f"a write was interrupted ({type(error).__name__})", cure="open the log again"
            )
            raise


def _key_beside(directory: Path) -> Path:
    """Return where the key stands by default. Raises ``AuditError`` where no name says so."""
    if directory.name in {"", ".."}:
        raise AuditError(
            "the audit log's directory has no name that its key file could bear",
            cure="name the directory in full, or name the key file with key=",
            place=str(directory),
        )
    return directory.with_name(f"{directory.name}.key")


def _threads() -> anyio.CapacityLimiter:
    """Return this event loop's own limiter: blocking work elsewhere must not hold up the audit."""
    try:
        return _THREADS.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(_BATCH)
        _THREADS.set(limiter)
        return limiter
