"""The erasable side store: plaintext and salts of sensitive values, apart from the chain.

The chain holds SHA-256(salt ‖ canonical value) only. This SQLite file, owner-only, holds the 32
random bytes of salt and the value. Deleting both leaves a commitment from which nothing can be
learned, not even by trying all phone numbers, while the chain stays whole (GDPR, article 17).

What is covered: values are on disk before the record that commits to them; erased values are
overwritten in the file (``secure_delete``) and leave its write-ahead log; each erasure leaves a
tombstone that names the record which logged it.

What is not covered: copies and backups of the file, and blocks that an SSD or a copy-on-write
file system keeps after they were overwritten. Encrypt the volume.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentkit.audit.canonical import canonical_json, parse_canonical

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from agentkit.messages import JsonValue

__all__ = ["SIDE_STORE", "Sealed", "SealedRow", "SideStore", "seal"]

SIDE_STORE = "sealed.sqlite"
_SALT_BYTES = 32
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sealed (
    commitment TEXT PRIMARY KEY,
    record INTEGER NOT NULL,
    salt BLOB,
    value BLOB,
    erased_by INTEGER
);
CREATE INDEX IF NOT EXISTS sealed_record ON sealed (record);
"""


@dataclass(frozen=True, slots=True)
class Sealed:
    """One value, ready to be stored: ``commitment`` is hex, ``value`` canonical JSON."""

    commitment: str
    salt: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class SealedRow:
    """What the store knows of a commitment. ``opens``: salt and value give the commitment.

    ``erased_by``: index of the record that logged its erasure, None while it is there.
    """

    record: int
    opens: bool
    value: JsonValue
    erased_by: int | None


def seal(value: JsonValue) -> Sealed:
    """Commit to ``value`` under a fresh salt. Raises ``AuditError`` where it is not JSON."""
    salt = secrets.token_bytes(_SALT_BYTES)
    spelled = canonical_json(value)
    return Sealed(_commit(salt, spelled), salt, spelled)


def _commit(salt: bytes, value: bytes) -> str:
    return hashlib.sha256(salt + value).hexdigest()


class SideStore:
    """The store of one log. Every method raises ``sqlite3.Error`` where the file is unusable."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def create(cls, directory: Path) -> SideStore:
        """Open the store for writing, creating it where there is none. Raises OSError too."""
        path = directory / SIDE_STORE
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        os.close(os.open(path, flags, 0o600))
        # Used by one thread at a time, whichever is writing: see group.py.
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA secure_delete=ON")
            connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        return cls(connection)

    @classmethod
    def read(cls, directory: Path) -> SideStore | None:
        """Open the store for reading, changing nothing; None where there is none."""
        path = directory / SIDE_STORE
        if not path.exists():
            return None
        # Without a write-ahead log nobody is writing, and SQLite need not make its own files.
        idle = "" if path.with_name(SIDE_STORE + "-wal").exists() else "&immutable=1"
        uri = f"{path.absolute().as_uri()}?mode=ro{idle}"
        return cls(sqlite3.connect(uri, uri=True, isolation_level=None))

    def add(self, rows: Iterable[tuple[int, Sealed]]) -> None:
        """Store values with the indices of their records, all or none; on disk at return."""
        with self._transaction():
            self._connection.executemany(
                "INSERT INTO sealed (commitment, record, salt, value) VALUES (?, ?, ?, ?)",
                [(sealed.commitment, index, sealed.salt, sealed.value) for index, sealed in rows],
            )

    def find(self, commitment: str) -> SealedRow | None:
        """Return what is known of a commitment; None where nothing is."""
        row = self._connection.execute(
            "SELECT record, salt, value, erased_by FROM sealed WHERE commitment = ?", (commitment,)
        ).fetchone()
        if row is None:
            return None
        record, salt, value, erased_by = row
        if not isinstance(record, int) or not isinstance(erased_by, int | None):
            raise sqlite3.DatabaseError("a row without the numbers of its records")
        there = isinstance(salt, bytes) and isinstance(value, bytes)
        if there and _commit(salt, value) == commitment:
            with suppress(ValueError):  # committed to, yet not JSON: it does not open
                return SealedRow(record, True, parse_canonical(value), erased_by)
        return SealedRow(record, False, None, erased_by)

    def erase(self, commitments: Iterable[str], erased_by: int) -> int:
        """Overwrite salts and values; return how many were there. Gone from disk at return."""
        return self._erase([(erased_by, commitment) for commitment in commitments])

    def finish_erasures(self, erased: Mapping[str, int]) -> None:
        """Erase what the log says is erased (commitment → record), where a crash prevented it."""
        self._erase([(erased_by, commitment) for commitment, erased_by in erased.items()])

    def _erase(self, orders: list[tuple[int, str]]) -> int:
        if not orders:
            return 0
        with self._transaction():
            before = self._connection.total_changes
            self._connection.executemany(
                "UPDATE sealed SET salt = NULL, value = NULL, erased_by = ?"
                " WHERE commitment = ? AND erased_by IS NULL",
                orders,
            )
            erased = self._connection.total_changes - before
        [(busy, *_)] = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if busy:
            raise sqlite3.OperationalError("a reader keeps erased values in the write-ahead log")
        return erased

    def drop_from(self, index: int) -> None:
        """Forget values of records from ``index`` on: a crash kept those records from the log."""
        with self._transaction():
            self._connection.execute("DELETE FROM sealed WHERE record >= ?", (index,))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
