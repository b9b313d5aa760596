"""Runs in the state file: which there are, where each stands, and the journal of its open turn.

A run's finished turns are kept as the messages they added and the answer they gave; the journal of
a turn is erased when the turn ends, so a long run holds each word once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from agentkit.errors import StateError
from agentkit.planner.runs.wire import decode, encode

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from agentkit.messages import Message
    from agentkit.planner.answer import Answer
    from agentkit.planner.clock import Clock

__all__ = ["Claim", "RunRow", "RunStatus", "RunStore", "TurnRow"]

RunStatus = Literal["idle", "running", "suspended", "cancelled"]
"""``running`` is also what a killed process leaves behind."""

_CURE = "see: agentkit runs list"


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run. ``turn``: the number of its last turn. ``reason``: how that ended, or waits."""

    run_id: str
    agent: str
    spec_sha256: str
    status: RunStatus
    reason: str
    turn: int
    attempt: int
    created_ms: int
    updated_ms: int


@dataclass(frozen=True, slots=True)
class TurnRow:
    """One turn: the user's words, and its answer once there is one."""

    turn: int
    text: str
    answer: Answer | None


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write a run's journal; the next claim of the same run ends it."""

    run_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class RunStore:
    """The runs of one state file; every method is one step of a transaction."""

    clock: Clock

    def claim(
        self, connection: sqlite3.Connection, run_id: str, *, agent: str = "", spec_sha256: str = ""
    ) -> Claim:
        """Take a run over, or begin it; whoever held it can write no more."""
        now_ms = self.clock().wall_ms
        connection.execute(
            "INSERT INTO runs VALUES (?, ?, ?, 'idle', '', 0, 0, ?, ?)"
            " ON CONFLICT (run_id) DO NOTHING",
            (run_id, agent, spec_sha256, now_ms, now_ms),
        )
        row = self.get(connection, run_id)
        if row.status == "cancelled":
            raise StateError(f"run {run_id} was cancelled", cure="begin a new run")
        connection.execute(
            "UPDATE runs SET attempt = attempt + 1, updated_ms = ? WHERE run_id = ?",
            (now_ms, run_id),
        )
        return Claim(run_id, row.attempt + 1)

    def get(self, connection: sqlite3.Connection, run_id: str) -> RunRow:
        """Return a run. Raises ``StateError`` where there is none."""
        row = connection.execute("SELECT * FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        if row is None:
            raise StateError(f"there is no run {run_id}", cure=_CURE)
        return _run(row)

    def find(self, connection: sqlite3.Connection, begins: str) -> RunRow:
        """Return the one run whose id begins so. Raises ``StateError`` for none and for two."""
        found = [run for run in self.all(connection) if run.run_id.startswith(begins)]
        if len(found) != 1:
            what = "no run" if not found else f"{len(found)} runs"
            raise StateError(f"{what} of an id that begins with {begins!r}", cure=_CURE)
        return found[0]

    def all(self, connection: sqlite3.Connection) -> list[RunRow]:
        """Return every run, the last touched first."""
        rows = connection.execute("SELECT * FROM runs ORDER BY updated_ms DESC, run_id")
        return [_run(row) for row in rows.fetchall()]

    def turns(self, connection: sqlite3.Connection, run_id: str) -> list[TurnRow]:
        """Return a run's turns in order, an open one included."""
        rows = connection.execute(
            "SELECT turn, text, answer FROM turns WHERE run_id = ? ORDER BY turn", (run_id,)
        )
        return [TurnRow(row["turn"], row["text"], decode(row["answer"])) for row in rows.fetchall()]

    def messages(self, connection: sqlite3.Connection, run_id: str) -> tuple[Message, ...]:
        """Return what all finished turns added to the conversation."""
        rows = connection.execute(
            "SELECT messages FROM turns WHERE run_id = ? ORDER BY turn", (run_id,)
        )
        return tuple(message for row in rows.fetchall() for message in decode(row["messages"]))

    def begin_turn(
        self, connection: sqlite3.Connection, claim: Claim, turn: int, text: str
    ) -> dict[str, Any]:
        """Open a turn and return what its journal holds by key: empty unless it is resumed."""
        self._hold(connection, claim)
        found = connection.execute(
            "SELECT text FROM turns WHERE run_id = ? AND turn = ?", (claim.run_id, turn)
        ).fetchone()
        if found is None:
            connection.execute(
                "INSERT INTO turns VALUES (?, ?, ?, ?, ?)",
                (claim.run_id, turn, text, encode(()), encode(None)),
            )
        elif found["text"] != text:
            raise StateError(f"turn {turn} of run {claim.run_id} began with other words")
        self._mark(connection, claim, "running", "", turn)
        rows = connection.execute(
            "SELECT key, value FROM journal WHERE run_id = ? AND turn = ?", (claim.run_id, turn)
        )
        return {row["key"]: decode(row["value"]) for row in rows.fetchall()}

    def keep(
        self, connection: sqlite3.Connection, claim: Claim, turn: int, key: str, value: object
    ) -> None:
        """Write one thing that happened. Raises ``StateError`` where it is there already."""
        self._hold(connection, claim)
        connection.execute(
            "INSERT INTO journal VALUES (?, ?, ?, ?, ?)",
            (claim.run_id, turn, key, encode(value), self.clock().wall_ms),
        )

    def end_turn(
        self,
        connection: sqlite3.Connection,
        claim: Claim,
        turn: int,
        reason: str,
        *,
        messages: Sequence[Message] = (),
        answer: Answer | None = None,
    ) -> None:
        """Keep what the turn came to, and drop its journal."""
        self._hold(connection, claim)
        connection.execute(
            "UPDATE turns SET messages = ?, answer = ? WHERE run_id = ? AND turn = ?",
            (encode(tuple(messages)), encode(answer), claim.run_id, turn),
        )
        connection.execute(
            "DELETE FROM journal WHERE run_id = ? AND turn = ?", (claim.run_id, turn)
        )
        self._mark(connection, claim, "idle", reason, turn)

    def suspend(self, connection: sqlite3.Connection, claim: Claim, turn: int, reason: str) -> None:
        """Mark the run as waiting; its journal stays."""
        self._hold(connection, claim)
        self._mark(connection, claim, "suspended", reason, turn)

    def cancel(self, connection: sqlite3.Connection, run_id: str, reason: str) -> None:
        """End a run for good: nobody can write it any more, and its open turn is dropped."""
        claim = self.claim(connection, run_id)
        connection.execute("DELETE FROM journal WHERE run_id = ?", (run_id,))
        self._mark(connection, claim, "cancelled", reason, self.get(connection, run_id).turn)

    def _hold(self, connection: sqlite3.Connection, claim: Claim) -> None:
        row = self.get(connection, claim.run_id)
        if row.attempt != claim.attempt or row.status == "cancelled":
            raise StateError(
                f"run {claim.run_id} was taken over or cancelled by another process",
                cure="look at it with: agentkit runs show",
            )

    def _mark(
        self, connection: sqlite3.Connection, claim: Claim, status: str, reason: str, turn: int
    ) -> None:
        connection.execute(
            "UPDATE runs SET status = ?, reason = ?, turn = ?, updated_ms = ? WHERE run_id = ?",
            (status, reason, turn, self.clock().wall_ms, claim.run_id),
        )


def _run(row: sqlite3.Row) -> RunRow:
    return RunRow(
        row["run_id"],
        row["agent"],
        row["spec_sha256"],
        cast("RunStatus", row["status"]),
        row["reason"],
        row["turn"],
        row["attempt"],
        row["created_ms"],
        row["updated_ms"],
    )
