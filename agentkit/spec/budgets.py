"""The ``budgets`` section: what may be spent over many turns, by whom and on what."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from agentkit.planner.spending import Kind, Limit, MoneyFrom, Per
from agentkit.spec.policies import Names, PolicyId  # noqa: TC001 - pydantic evaluates them
from agentkit.spec.section import Fault, FilePath, Matches, Section, distinct

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["BudgetsSpec", "LimitSpec", "MoneySpec", "ToolMoneySpec"]

_WINDOWS = MappingProxyType(
    {"minute": 60.0, "hour": 3600.0, "day": 86_400.0, "week": 604_800.0, "ever": None}
)
_KINDS = ("calls", "tokens", "money", "wall_s")
_OF_CALLS = ("calls", "money")
_UNITS = 1_000_000

Currency = Annotated[
    str, Matches(r"[A-Z]{3}", "a currency's code", "write it in capitals: NOK", "NOK")
]


class MoneySpec(Section):
    """An amount in one currency."""

    at_most: Annotated[float, Field(ge=0.0, le=1e12)] = Field(description="The largest sum.")
    currency: Currency = Field(description="Its ISO 4217 code.")


class LimitSpec(Section):
    """One limit: so much, in such a time, for each of those."""

    id: PolicyId = Field(description="By which decisions and the store name the limit.")
    calls: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = Field(
        default=None, description="Calls of tools."
    )
    tokens: Annotated[int, Field(ge=1, le=1_000_000_000_000)] | None = Field(
        default=None, description="Tokens read and written by the model."
    )
    money: MoneySpec | None = Field(
        default=None, description="Money that calls move, where tools.*.money says."
    )
    wall_s: Annotated[float, Field(gt=0.0, le=1e9)] | None = Field(
        default=None, description="Seconds that turns take."
    )
    every: Literal["minute", "hour", "day", "week", "ever"] = Field(
        default="day", description="In any span of this length; ever: once and for all."
    )
    per: Annotated[
        tuple[Literal["agent", "user", "tool", "destination"], ...],
        Field(strict=False),
        AfterValidator(distinct),
    ] = Field(
        default=("agent",),
        description="For each of these by itself; [] is one sum for all that share the store.",
    )
    tools: Names | None = Field(default=None, description="Only calls of these tools count.")

    @classmethod
    def cross_check(cls, given: Mapping[str, object]) -> Iterable[Fault]:
        """Demand one thing to count, and tools only where calls are counted."""
        stated = [kind for kind in _KINDS if given.get(kind) is not None]
        if len(stated) != 1:
            what = " and ".join(stated) + " are" if stated else "nothing to count is"
            yield Fault(f"{what} given", f"give exactly one of {', '.join(_KINDS)}", on_key=True)
            return
        if stated[0] in _OF_CALLS:
            return
        per = given.get("per")
        for word in ("tool", "destination"):
            if isinstance(per, list) and word in per:
                place = ("per", per.index(word))
                yield Fault(f"{stated[0]} are not spent per {word}", "use agent or user", place)
        if given.get("tools") is not None:
            yield Fault(f"{stated[0]} are not spent by tools", "remove tools", ("tools",), True)

    @property
    def limit(self) -> Limit:
        """The same, as it is enforced."""
        kind, cap, currency = Kind.CALLS, self.calls or 0, ""
        if self.tokens is not None:
            kind, cap = Kind.TOKENS, self.tokens
        elif self.money is not None:
            kind, currency = Kind.MONEY, self.money.currency
            cap = int(self.money.at_most * _UNITS)
        elif self.wall_s is not None:
            kind, cap = Kind.WALL, int(self.wall_s * 1000)
        tools = None if self.tools is None else frozenset(self.tools)
        per = frozenset(map(Per, self.per))
        return Limit(self.id, kind, cap, _WINDOWS[self.every], per, tools, currency)


class BudgetsSpec(Section):
    """Limits over many turns. Processes that name one store share what may be spent."""

    store: FilePath = Field(
        default="./state/budgets.sqlite",
        description="The SQLite file that counts, relative to the folder of agent.yaml.",
    )
    limits: Annotated[tuple[LimitSpec, ...], Field(strict=False, max_length=1000)] = Field(
        default=(), description="The limits; a call must fit under every one that covers it."
    )

    @classmethod
    def cross_check(cls, given: Mapping[str, object]) -> Iterable[Fault]:
        """Refuse two limits of one id."""
        limits = given.get("limits")
        seen: list[object] = []
        for index, limit in enumerate(limits if isinstance(limits, list) else ()):
            limit_id = limit.get("id") if isinstance(limit, dict) else None
            if limit_id is not None and limit_id in seen:
                fix = "give each limit an id of its own"
                yield Fault(f'"{limit_id}" is used twice', fix, ("limits", index, "id"))
            seen.append(limit_id)


class ToolMoneySpec(Section):
    """Where a tool's arguments say how much money a call moves."""

    amount: str = Field(description="The parameter that holds the amount.")
    currency: Currency | None = Field(default=None, description="The currency, where it is one.")
    currency_from: str | None = Field(
        default=None, description="The parameter that holds the currency's code."
    )

    @classmethod
    def cross_check(cls, given: Mapping[str, object]) -> Iterable[Fault]:
        """Demand exactly one source of the currency."""
        if (given.get("currency") is None) == (given.get("currency_from") is None):
            yield Fault(
                "the currency must be told once",
                "give currency: NOK, or currency_from: the parameter that holds it",
                on_key=True,
            )

    @property
    def money(self) -> MoneyFrom:
        """The same, as it is read."""
        return MoneyFrom(self.amount, self.currency or "", self.currency_from or "")
