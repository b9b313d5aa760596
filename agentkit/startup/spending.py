"""From the ``budgets`` section and the tools to the limits that are enforced."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agentkit.errors import SpecError, StartupRefused
from agentkit.planner.gate import per_minute
from agentkit.planner.spending import Kind, Per, Spending, SpendingStore, StoreFailed, ToolSpending

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkit.planner.spending import Limit
    from agentkit.spec import LoadedSpec
    from agentkit.tools import Tool

__all__ = ["declared_spending", "open_spending"]


def declared_spending(loaded: LoadedSpec, tools: Sequence[Tool]) -> Spending:
    """Return the limits over a store in memory.

    Raises ``SpecError`` where a limit or a tool's ``money`` and ``destination`` name what is not
    there.
    """
    spec = loaded.spec
    declared = {tool.name: _declared(loaded, tool) for tool in tools}
    limits = [
        per_minute(name, stated.calls_per_minute)
        for name, stated in spec.tools.items()
        if stated.calls_per_minute is not None
    ]
    for index, stated in enumerate(spec.budgets.limits if spec.budgets is not None else ()):
        limit = stated.limit
        _check(loaded, index, limit, declared)
        limits.append(limit)
    return Spending(tuple(limits), agent=spec.name, tools=declared)


def open_spending(loaded: LoadedSpec, tools: Sequence[Tool]) -> Spending:
    """Return the limits over their store; one in memory where the file states no budgets.

    Raises as ``declared_spending``, and ``StartupRefused`` where the store cannot be used.
    """
    spending = declared_spending(loaded, tools)
    budgets = loaded.spec.budgets
    if budgets is None:
        return spending
    try:
        store = SpendingStore(loaded.resolve(budgets.store))
    except StoreFailed as failed:
        raise StartupRefused(
            failed.message,
            rule="startup.budgets",
            clause="agentkit startup rules, docs/startup.md",
            cure=failed.cure,
            place=loaded.place("budgets", "store"),
        ) from failed
    return replace(spending, store=store)


def _declared(loaded: LoadedSpec, tool: Tool) -> ToolSpending:
    stated = loaded.spec.tools[tool.name]
    properties = tool.parameters.get("properties")
    known = [*properties] if isinstance(properties, dict) else []
    named = [(("destination",), name) for name in stated.destination or ()]
    if stated.money is not None:
        named.append((("money",), stated.money.amount))
        if stated.money.currency_from is not None:
            named.append((("money",), stated.money.currency_from))
    for at, name in named:
        if name not in known:
            raise SpecError(
                f"tools.{tool.name}: {tool.name} has no parameter {name!r}",
                cure=f"name one of: {', '.join(sorted(known)) or 'it has none'}",
                place=loaded.place("tools", tool.name, *at),
            )
    money = stated.money.money if stated.money is not None else None
    return ToolSpending(money, frozenset(stated.destination or tool.audience))


def _check(loaded: LoadedSpec, index: int, limit: Limit, declared: dict[str, ToolSpending]) -> None:
    covered = sorted(limit.tools) if limit.tools is not None else []
    for place, name in enumerate(covered):
        if name not in declared:
            wrong, cure = f"{name!r} is not an allowed tool", f"name one of: {', '.join(declared)}"
        elif limit.kind is Kind.MONEY and declared[name].money is None:
            wrong = f"{name} does not say where its amount stands"
            cure = f"add tools.{name}.money: {{amount: a parameter, currency: {limit.currency}}}"
        elif Per.DESTINATION in limit.per and not declared[name].destination:
            wrong = f"{name} does not say which parameter is its destination"
            cure = f"add tools.{name}.destination: a parameter"
        else:
            continue
        raise SpecError(
            f"budgets.limits[{index}]: {wrong}",
            cure=cure,
            place=loaded.place("budgets", "limits", index, "tools", place),
        )
