"""The amount of money in a call's arguments, as the operator declared where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import TYPE_CHECKING

from agentkit.planner.spending.limit import MONEY_UNIT

if TYPE_CHECKING:
    from agentkit.messages import JsonObject

__all__ = ["MoneyFrom", "UnreadableMoney"]

_LARGEST = Decimal(10) ** 12


class UnreadableMoney(ValueError):
    """An amount or currency that cannot be read for certain."""


@dataclass(frozen=True, slots=True)
class MoneyFrom:
    """Which arguments of a tool say how much money it moves.

    ``amount``: a parameter. ``currency``: a fixed code, or empty and ``currency_from`` names the
    parameter that holds it.
    """

    amount: str
    currency: str = ""
    currency_from: str = ""

    def read(self, arguments: JsonObject) -> tuple[int, str]:
        """Return the amount in millionths, rounded up, and the currency's code in capitals.

        Raises ``UnreadableMoney``: what is not there, negative or not a plain number is no amount.
        """
        given = arguments.get(self.amount)
        if given is None or isinstance(given, bool | list | dict):
            raise UnreadableMoney(f"{self.amount} holds no amount")
        try:
            amount = Decimal(str(given).strip())
        except InvalidOperation:
            raise UnreadableMoney(f"{self.amount} is not a plain number") from None
        # A negative amount would give back what others spent.
        if not amount.is_finite() or amount < 0 or amount > _LARGEST:
            raise UnreadableMoney(f"{self.amount} is negative, infinite or too large")
        currency = self.currency or arguments.get(self.currency_from)
        if not isinstance(currency, str) or not currency.strip():
            raise UnreadableMoney(f"{self.currency_from} holds no currency")
        units = (amount * MONEY_UNIT).to_integral_value(rounding=ROUND_CEILING)
        return int(units), currency.strip().upper()
