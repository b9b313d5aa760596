"""Opening a log for writing: check all of it, cut a torn tail, begin a new one.

What is covered: the whole log is checked before the first append. Only bytes that a crash may
have left at the very end are cut, and they are kept in a file of their own (``torn-…``) whose
digest the recovery record names. Anything else raises ``AuditDamaged`` and changes nothing.

Records behind the last checkpoint are signed by this writer only after a recovery record that
names them: nobody had signed for them before.

What is not covered: an attacker who may write the files can cut or change what stands behind the
last checkpoint. Frequent checkpoints, held by somebody else, bound what can vanish.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentkit.audit.checkpoint import Checkpoint, sign_checkpoint
from agentkit.audit.disk import make_directory, sync_directory, sync_file, write_new
from agentkit.audit.event import AuditEvent, EventKind
from agentkit.audit.faults import damaged
from agentkit.audit.keys import VerifierKey, create_key, load_key, public_bytes
from agentkit.audit.ledger import Ledger
from agentkit.audit.lock import WriterLock
from agentkit.audit.merkle import Frontier
from agentkit.audit.notebook import NOTEBOOK, Notebook
from agentkit.audit.sealed import SIDE_STORE, SideStore
from agentkit.audit.segment import FORMAT, Header, SegmentWriter, list_segments, segment_path
from agentkit.audit.survey import Survey
from agentkit.audit.walk import GENESIS, Problem
from agentkit.errors import AuditError

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from agentkit.audit.walk import TornTail
    from agentkit.messages import JsonObject

__all__ = ["Files", "Opened", "open_for_reading", "open_for_writing", "recovery_events"]


_TORN = re.compile(r"torn-(?P<segment>\d{8})-(?P<offset>\d+)-(?P<sha256>[0-9a-f]{64})\.bin")


@dataclass(slots=True)
class Files:
    """What a writer holds open."""

    segment: SegmentWriter
    notebook: Notebook
    store: SideStore
    key: Ed25519PrivateKey
    lock: WriterLock

    def close(self) -> None:
        """Close all; the lock last."""
        self.segment.close()
        self.notebook.close()
        self.store.close()
        self.lock.release()


@dataclass(slots=True)
class Opened:
    """A checked log: where it stands and, for a writer, its files.

    ``prev``: what the next record names as its predecessor. ``signed``: records under the last
    checkpoint.
    """

    header: Header
    frontier: Frontier
    prev: str
    ledger: Ledger
    signed: int
    files: Files | None = None


def open_for_reading(directory: Path) -> Opened:
    """Check a log and change nothing. Raises ``AuditError``, ``AuditDamaged`` and OSError."""
    survey = _inspect(directory)
    if survey is None:
        raise AuditError(
            "there is no audit log here", cure="name the directory of a log", place=str(directory)
        )
    return _opened(survey)


def open_for_writing(directory: Path, key_path: Path) -> Opened:
    """Lock, check and repair a log, or begin one; it has all its files.

    Raises ``AuditError``, ``AuditDamaged``, OSError and ``sqlite3.Error``.
    """
    make_directory(directory)
    with ExitStack() as undo:
        lock = WriterLock(directory)
        undo.callback(lock.release)
        survey = _inspect(directory)
        if survey is None:
            key = load_key(key_path) if key_path.exists() else create_key(key_path)
            header = _first_header(key)
            opened = Opened(header, Frontier(), header.digest().hex(), Ledger(), 0)
            segment, notes_size = SegmentWriter.create(directory, header), 0
        else:
            opened = _opened(survey)
            key = _own_key(key_path, opened.header)
            if survey.torn:
                _cut_torn_tail(directory, survey.torn)
            segment = SegmentWriter(
                segment_path(directory, survey.walk.segment), survey.walk.segment, survey.walk.end
            )
            notes_size = survey.notes.size - survey.notes.torn
        undo.callback(segment.close)
        notebook = Notebook(directory, notes_size)
        undo.callback(notebook.close)
        if survey is None or not survey.checkpoints:
            notebook.append(_first_note(opened.header, key))
        store = SideStore.create(directory)
        undo.callback(store.close)
        store.drop_from(opened.frontier.size)
        store.finish_erasures(opened.ledger.erased)
        sync_directory(directory)
        opened.files = Files(segment, notebook, store, key, lock)
        undo.pop_all()
    return opened


def recovery_events(directory: Path, opened: Opened) -> list[AuditEvent]:
    """Return what a writer must record before anything else: which records it found unsigned,
    and each cut tail that no record names yet.

    Cut tails are found by file, so that a crash between cutting and logging loses nothing.
    """
    events = []
    if opened.signed < opened.frontier.size:
        # The first, for a checkpoint may be due with any append.
        found: JsonObject = {
            "unsigned_first": opened.signed,
            "unsigned_last": opened.frontier.size - 1,
        }
        events.append(AuditEvent(kind=EventKind.RECOVERY, run_id="", body=found))
    for path in sorted(directory.glob("torn-*.bin")):
        parts = _TORN.fullmatch(path.name)
        if parts is None or path.name in opened.ledger.kept:
            continue
        body: JsonObject = {
            "bytes_cut": path.stat().st_size,
            "segment": int(parts["segment"]),
            "offset": int(parts["offset"]),
            "sha256": parts["sha256"],
            "kept_as": path.name,
        }
        events.append(AuditEvent(kind=EventKind.RECOVERY, run_id="", body=body))
    return events


def _inspect(directory: Path) -> Survey | None:
    """Check the whole log; None where there is none yet. Changes nothing."""
    if not list_segments(directory):
        left = [name for name in (NOTEBOOK, SIDE_STORE) if (directory / name).exists()]
        if left:
            raise damaged(directory, Problem(0, 0, 0, f"{left[0]} is there, the records are gone"))
        return None
    survey = Survey(directory)
    for item in survey:
        if isinstance(item, Problem):
            raise damaged(directory, item)
    return survey


def _opened(survey: Survey) -> Opened:
    walk = survey.walk
    if walk.header is None:
        raise damaged(survey.directory, Problem(0, 0, 0, "no segment is readable"))
    return Opened(walk.header, walk.frontier, walk.prev, survey.ledger, survey.signed)


def _first_header(key: Ed25519PrivateKey) -> Header:
    log = secrets.token_hex(16)
    return Header(
        format=FORMAT,
        log=log,
        segment=0,
        first=0,
        prev=GENESIS,
        root=Frontier().root().hex(),
        key=str(VerifierKey(f"agentkit-audit/{log}", public_bytes(key))),
    )


def _first_note(header: Header, key: Ed25519PrivateKey) -> str:
    """Sign for the empty log: with that on disk, records without a checkpoint are damage.

    A crash before it leaves an empty log without notes, whose next opening makes up for it.
    """
    public = VerifierKey.parse(header.key)
    return sign_checkpoint(Checkpoint(public.name, 0, Frontier().root()), key, public)


def _own_key(path: Path, header: Header) -> Ed25519PrivateKey:
    key = load_key(path)
    if public_bytes(key) != VerifierKey.parse(header.key).public:
        raise AuditError(
            "the audit key is not the one that this log began with",
            cure="restore that key file, or begin a new log in another directory",
            place=str(path),
        )
    return key


def _cut_torn_tail(directory: Path, torn: TornTail) -> None:
    """Move the torn bytes out of the last segment, into a file of their own."""
    descriptor = os.open(
        segment_path(directory, torn.segment), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    )
    try:
        data = os.pread(descriptor, torn.length, torn.offset)
        digest = hashlib.sha256(data).hexdigest()
        kept = directory / f"torn-{torn.segment:08d}-{torn.offset}-{digest}.bin"
        kept.unlink(missing_ok=True)  # the same bytes, if an earlier recovery was cut short here
        write_new(kept, data)
        sync_directory(directory)
        os.ftruncate(descriptor, torn.offset)
        sync_file(descriptor)
    finally:
        os.close(descriptor)
