"""The agent's state file: one SQLite database of runs and approvals, shared by processes.

What is covered: only the owner can read it; every write is one immediate transaction that is on
disk when it returns; another process's write is waited for, and what still fails (locked, disk
full, damaged) is a ``StateError``, on which nothing runs.

What is not covered: whoever may write as this user may rewrite the file; signed approvals and the
audit log outlast that, the journal does not. Network file systems without working locks.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import contextmanager
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, Self, TypeVar

import anyio.to_thread

from agentkit.errors import StateError
from agentkit.planner.transaction import immediate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["STATE_FILE", "StateFile"]

STATE_FILE = "state.sqlite3"

_BUSY_MS = 5000
_MEMORY = ":memory:"
_CURE = "give state.path a local folder with free space that only this user may read and write"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS clock (id INTEGER PRIMARY KEY CHECK (id = 1), wall_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY, agent TEXT NOT NULL, spec_sha256 TEXT NOT NULL,
    status TEXT NOT NULL, reason TEXT NOT NULL, turn INTEGER NOT NULL, attempt INTEGER NOT NULL,
    created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS turns (
    run_id TEXT NOT NULL REFERENCES runs, turn INTEGER NOT NULL, text TEXT NOT NULL,
    messages TEXT NOT NULL, answer TEXT NOT NULL, PRIMARY KEY (run_id, turn)
);
CREATE TABLE IF NOT EXISTS journal (
    run_id TEXT NOT NULL REFERENCES runs, turn INTEGER NOT NULL, key TEXT NOT NULL,
    value TEXT NOT NULL, written_ms INTEGER NOT NULL, PRIMARY KEY (run_id, turn, key)
);
CREATE TABLE IF NOT EXISTS requests (
    request_id TEXT PRIMARY KEY, run_id TEXT NOT NULL, call_id TEXT NOT NULL, tool TEXT NOT NULL,
    arguments_sha256 TEXT NOT NULL, policy_sha256 TEXT NOT NULL, arguments BLOB NOT NULL,
    decision TEXT NOT NULL, persons INTEGER NOT NULL, asked_ms INTEGER NOT NULL,
    asked_uptime_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,
    redeemed_ms INTEGER, voided TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX IF NOT EXISTS one_request_a_call
    ON requests (run_id, call_id) WHERE voided = '';
CREATE TABLE IF NOT EXISTS decisions (
    request_id TEXT NOT NULL REFERENCES requests, approver TEXT NOT NULL,
    statement BLOB NOT NULL, signature BLOB NOT NULL, recorded_ms INTEGER NOT NULL,
    PRIMARY KEY (request_id, approver)
);
"""

_Result = TypeVar("_Result")


class StateFile:
    """One open state file. Safe across threads; other processes may have it open too."""

    def __init__(self, connection: sqlite3.Connection, place: str) -> None:
        """Use ``StateFile.open`` or ``StateFile.in_memory``."""
        self._connection = connection
        self._place = place
        self._lock = RLock()

    @classmethod
    def open(cls, folder: Path, *, busy_ms: int = _BUSY_MS) -> Self:
        """Open the state in ``folder``; both are made, owner-only, where they are not there.

        ``busy_ms``: how long a write waits for another process's. Raises ``StateError``.
        """
        path = folder / STATE_FILE
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(path, flags, 0o600)
            try:
                mode = os.fstat(descriptor).st_mode
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StateError(
                f"the state file cannot be opened: {error.strerror}", cure=_CURE, place=str(path)
            ) from error
        if stat.S_IMODE(mode) & 0o077:
            raise StateError(
                "others may read the state file", cure=f"chmod 600 {path}", place=str(path)
            )
        return cls._connected(str(path), busy_ms)

    @classmethod
    def in_memory(cls) -> Self:
        """Return a state of this process alone, gone when it ends."""
        return cls._connected(_MEMORY, 0)

    @classmethod
    def _connected(cls, place: str, busy_ms: int) -> Self:
        with _as_state_errors(place):
            connection = sqlite3.connect(place, isolation_level=None, check_same_thread=False)
            try:
                connection.execute(f"PRAGMA busy_timeout = {busy_ms}")
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA foreign_keys = ON")
                connection.execute("PRAGMA secure_delete = ON")
                connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
            except BaseException:
                connection.close()
                raise
        connection.row_factory = sqlite3.Row
        return cls(connection, place)

    @property
    def is_durable(self) -> bool:
        """Whether the state outlives this process."""
        return self._place != _MEMORY

    @property
    def place(self) -> str:
        """The file's path, for messages."""
        return self._place

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run statements as one write: all of it is on disk at the end, or none. Blocks.

        Raises ``StateError``; whatever is raised inside undoes the statements.
        """
        with self._lock, _as_state_errors(self._place), immediate(self._connection):
            yield self._connection

    async def write(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Do ``work`` in one transaction, in a worker thread; a cancellation waits for its end."""
        return await anyio.to_thread.run_sync(partial(self._write, work))

    def close(self) -> None:
        """Close the file; does nothing the second time."""
        with self._lock, _as_state_errors(self._place):
            self._connection.close()

    def _write(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        with self.transaction() as connection:
            return work(connection)


@contextmanager
def _as_state_errors(place: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StateError(
            f"the state file cannot be used: {error}", cure=_CURE, place=place
        ) from error
