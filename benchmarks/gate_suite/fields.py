"""Small words for declarations: the trusted fields of records, and places that others write to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gate_suite.world import World

__all__ = ["append", "each"]


def each(records: str, *fields: str) -> frozenset[str]:
    """Return the paths of some fields of every record of a listing."""
    return frozenset(f"$.{records}[*].{field}" for field in fields)


def append(table: str, column: str, where: str = "1") -> Callable[[World, str], None]:
    """Return an injection that adds a text to a column of some rows."""

    def inject(world: World, text: str) -> None:
        world.run(f"UPDATE {table} SET {column} = {column} || ? WHERE {where}", text)

    return inject
