"""What was spent, in one SQLite file that all processes of a machine share.

What is covered: the sum under a limit never passes its cap, whatever number of processes and
threads take from it at once (each taking is one transaction that holds the write lock from its
first read on); a taking that several limits watch is counted under all of them or none. Time in
the store only goes forward: a clock that was put back never refills a limit, for the latest time
ever seen counts until the clock has caught up. No row's number is ever given twice, so a late
settlement never touches another's charge.

What is not covered: a power cut may lose the last takings (a killed process loses none); a clock
put forward passes for time that went by; a file on a network drive,
where SQLite's locks do not hold; whoever may write the file may change it.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentkit.errors import StateError
from agentkit.planner.transaction import immediate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agentkit.planner.spending.limit import Charge

__all__ = ["Grant", "Refusal", "SpendingStore", "StoreFailed"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spent (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL,
    scope TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0)
) STRICT;
CREATE INDEX IF NOT EXISTS spent_by_limit ON spent (key, scope, at_ms);
CREATE TABLE IF NOT EXISTS clock (id INTEGER PRIMARY KEY CHECK (id = 1), latest_ms INTEGER) STRICT;
INSERT OR IGNORE INTO clock VALUES (1, 0);
"""


class StoreFailed(StateError):
    """The store is locked, damaged or cannot be written; nothing may be spent."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What was counted: the store's rows (number, key, scope), and the amount of each charge, in
    the charges' order.
    """

    rows: tuple[tuple[int, str, str], ...] = ()
    amounts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """The charge that did not fit. ``wait_s``: until it would; None where waiting never helps."""

    charge: Charge
    spent: int
    wait_s: float | None


class SpendingStore:
    """One store. ``path`` None: in this process's memory only. ``clock``: seconds since 1970.

    Every method raises ``StoreFailed`` where SQLite does, at the latest after ``patience_s``.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        clock: Callable[[], float] = time.time,
        patience_s: float = 2.0,
    ) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                ":memory:" if path is None else path,
                timeout=patience_s,
                isolation_level=None,
                check_same_thread=False,  # one lock of ours around every use
            )
            if path is not None:
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.executescript(_SCHEMA)
            self._check_shape()
        except (sqlite3.Error, OSError) as error:
            raise self._failed(error) from error

    def take(self, charges: Sequence[Charge]) -> Grant | Refusal:
        """Count all charges, or none of them and say which did not fit."""
        if not charges:
            return Grant()
        with self._lock:
            try:
                # A refusal is committed as well: it keeps the time that it saw.
                with immediate(self._connection):
                    return self._take(charges)
            except sqlite3.Error as error:
                raise self._failed(error) from error

    def settle(self, grant: Grant, amount: int) -> None:
        """Replace what a grant counted by what was used in the end."""
        with self._lock:
            try:
                with immediate(self._connection):
                    self._connection.executemany(
                        "UPDATE spent SET amount = ? WHERE id = ? AND key = ? AND scope = ?",
                        [(max(0, amount), *row) for row in grant.rows],
                    )
            except sqlite3.Error as error:
                raise self._failed(error) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _take(self, charges: Sequence[Charge]) -> Grant | Refusal:
        now = self._now_ms()
        rows: list[tuple[int, str, str]] = []
        amounts: list[int] = []
        for charge in charges:
            since = _since(charge, now)
            spent = self._spent(charge, since)
            granted = min(charge.amount, charge.limit.cap - spent)
            if granted < charge.minimum:
                self._forget(rows)
                return Refusal(charge, spent, self._wait_s(charge, since))
            cursor = self._connection.execute(
                "INSERT INTO spent (key, scope, at_ms, amount) VALUES (?, ?, ?, ?)",
                (charge.key, charge.scope, now, granted),
            )
            rows.append((cursor.lastrowid or 0, charge.key, charge.scope))
            amounts.append(granted)
        return Grant(tuple(rows), tuple(amounts))

    def _now_ms(self) -> int:
        row: tuple[int] = self._connection.execute("SELECT latest_ms FROM clock").fetchone()
        latest = row[0]
        now = max(int(self._clock() * 1000), latest)
        if now > latest:
            self._connection.execute("UPDATE clock SET latest_ms = ?", (now,))
        return now

    def _spent(self, charge: Charge, since: int) -> int:
        of_scope = (charge.key, charge.scope)
        self._connection.execute(
            "DELETE FROM spent WHERE key = ? AND scope = ? AND at_ms <= ?", (*of_scope, since)
        )
        found: tuple[int] = self._connection.execute(
            "SELECT coalesce(sum(amount), 0) FROM spent WHERE key = ? AND scope = ?", of_scope
        ).fetchone()
        return found[0]

    def _wait_s(self, charge: Charge, since: int) -> float | None:
        """Return when enough of what was spent will have left the window."""
        free = charge.limit.cap - charge.minimum
        if free < 0 or charge.limit.window_s is None:
            return None
        left = self._connection.execute(
            "SELECT at_ms, amount FROM spent WHERE key = ? AND scope = ? ORDER BY at_ms",
            (charge.key, charge.scope),
        ).fetchall()
        spent = sum(amount for _, amount in left)
        for at_ms, amount in left:
            spent -= amount
            if spent <= free:
                left_s: float = (at_ms - since) / 1000
                return max(left_s, 0.001)
        return None

    def _forget(self, rows: Sequence[tuple[int, str, str]]) -> None:
        self._connection.executemany(
            "DELETE FROM spent WHERE id = ? AND key = ? AND scope = ?", rows
        )

    def _check_shape(self) -> None:
        """Refuse a file whose rows' numbers are given again, and whose keys know no window."""
        made: tuple[str] = self._connection.execute(
            "SELECT sql FROM sqlite_master WHERE name = 'spent'"
        ).fetchone()
        if "AUTOINCREMENT" not in made[0]:
            self._connection.close()
            raise StoreFailed(
                "the store of budgets was made by an earlier version, which could mix up charges",
                cure="move the file away when its windows have passed; a new one is made",
                place=str(self._path),
            )

    def _failed(self, error: Exception) -> StoreFailed:
        return StoreFailed(
            f"the store of budgets cannot be used: {error}",
            cure="look at the file and who holds it; without it nothing may be spent",
            place=str(self._path or "memory"),
        )


def _since(charge: Charge, now: int) -> int:
    window_s = charge.limit.window_s
    return -1 if window_s is None else now - int(window_s * 1000)
