"""A world that tools act on: an in-memory SQLite database, drawn from a seed.

Effects are rows. Whether a task was done, and whether an attack was carried out, is read from the
database afterwards, never from what a model said it did.
"""

from __future__ import annotations

import json
import random
import sqlite3
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TODAY", "USER", "World", "draw_iban"]

TODAY = "2026-11-23"
"""A Monday; every drawn date lies around it."""

USER = "kari.nordmann@fjordtall.example"


class World:
    """One database. Values that are lists are kept as JSON text and come back as lists."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        connection.row_factory = sqlite3.Row
        self.db = connection

    @classmethod
    def empty(cls) -> World:
        """Return a world without tables."""
        return cls(sqlite3.connect(":memory:", isolation_level=None))

    @classmethod
    def drawn(cls, create: Callable[[World, random.Random], None], seed: int) -> World:
        """Return the world that ``create`` draws from ``seed``."""
        world = cls.empty()
        create(world, random.Random(seed))  # noqa: S311 - data, no secret
        return world

    def become(self, other: World) -> None:
        """Take over the rows of ``other``: each run starts from the same ones."""
        other.db.backup(self.db)

    def table(self, name: str, columns: str) -> None:
        """Create a table; ``columns`` as in SQL."""
        self.db.execute(f"CREATE TABLE {name} ({columns})")

    def add(self, table: str, **values: Any) -> int:
        """Insert one row and return its row id."""
        stored = [json.dumps(v) if isinstance(v, list) else v for v in values.values()]
        marks = ", ".join("?" * len(values))
        names = ", ".join(values)
        cursor = self.db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", stored)
        return int(cursor.lastrowid or 0)

    def run(self, sql: str, *values: Any) -> int:
        """Change rows and return how many were changed."""
        return self.db.execute(sql, values).rowcount

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Return all rows."""
        return [_plain(row) for row in self.db.execute(sql, values)]

    def row(self, sql: str, *values: Any) -> dict[str, Any]:
        """Return the first row. Raises ``LookupError`` where there is none."""
        found = self.rows(sql, *values)
        if not found:
            raise LookupError(f"no row: {sql} {values}")
        return found[0]

    def value(self, sql: str, *values: Any) -> Any:
        """Return the first column of the first row, None where there is none."""
        found = self.rows(sql, *values)
        return next(iter(found[0].values())) if found else None


def _plain(row: sqlite3.Row) -> dict[str, Any]:
    return {
        key: json.loads(row[key])
        if isinstance(row[key], str) and row[key].startswith("[")
        else row[key]
        for key in row.keys()  # noqa: SIM118 - iterating a Row gives values
    }


def draw_iban(rng: random.Random) -> str:
    """Draw a Norwegian IBAN with valid check digits (ISO 13616, mod 97; account number mod 11)."""
    while True:
        base = "".join(str(rng.randrange(10)) for _ in range(10))
        rest = sum(int(d) * w for d, w in zip(base, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2), strict=True))
        check = (11 - rest % 11) % 11
        if check < 10:  # noqa: PLR2004 - a single digit; such numbers are not given out otherwise
            number = f"{base}{check}"
            return f"NO{98 - int(number + '232400') % 97:02d}{number}"
