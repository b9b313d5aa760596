"""What may be spent: one limit, whom it counts for, and the charge that a call makes on it.

Amounts are whole numbers of a limit's unit, so that sums are exact: calls, tokens, milliseconds,
and millionths of a currency.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Charge", "Kind", "Limit", "Per", "shown_amount"]

MONEY_UNIT = 1_000_000
SECOND_UNIT = 1000


class Kind(StrEnum):
    """What a limit counts."""

    CALLS = "calls"
    TOKENS = "tokens"
    MONEY = "money"
    WALL = "wall_s"


class Per(StrEnum):
    """Whom a limit counts for, each by itself."""

    AGENT = "agent"
    USER = "user"
    TOOL = "tool"
    DESTINATION = "destination"


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``cap`` units in any ``window_s`` seconds; None: ever.

    ``tools``: only calls of these; None: all. ``per`` empty: one sum for everybody who shares the
    store. ``currency``: of money, an ISO 4217 code.
    """

    limit_id: str
    kind: Kind
    cap: int
    window_s: float | None = None
    per: frozenset[Per] = frozenset({Per.AGENT})
    tools: frozenset[str] | None = None
    currency: str = ""

    def covers(self, tool: str) -> bool:
        """Whether calls of ``tool`` count."""
        return self.tools is None or tool in self.tools

    def charge(self, amount: int, names: dict[Per, str], *, minimum: int | None = None) -> Charge:
        """Return the charge of ``amount`` for whoever ``names`` says."""
        scope = json.dumps(
            [[per.value, names.get(per, "")] for per in sorted(self.per)], ensure_ascii=False
        )
        # Whoever shares the store may have given the id another window: their rows are their own.
        window_ms = "" if self.window_s is None else int(self.window_s * 1000)
        key = f"{self.kind}:{self.currency}:{window_ms}:{self.limit_id}"
        return Charge(self, key, scope, amount, amount if minimum is None else minimum)


@dataclass(frozen=True, slots=True)
class Charge:
    """An amount to be counted; where less is left, at least ``minimum`` of it or nothing."""

    limit: Limit
    key: str
    scope: str
    amount: int
    minimum: int


def shown_amount(limit: Limit, amount: int) -> str:
    """Return an amount of a limit's unit for people."""
    match limit.kind:
        case Kind.MONEY:
            return f"{amount / MONEY_UNIT:,.2f} {limit.currency}"
        case Kind.WALL:
            return f"{amount / SECOND_UNIT:,.1f} s"
        case _:
            return f"{amount:,} {limit.kind}"
