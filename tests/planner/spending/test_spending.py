"""Limits over calls, money, destinations, tokens and time, as the gate and a turn meet them."""

from __future__ import annotations

import itertools
import sqlite3
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.errors import BackendError, BackendRefused, TurnStopped
from agentkit.labels import Label, SourceKind
from agentkit.messages import ToolCallPart
from agentkit.model.protocol import FinishDelta, TextDelta, TokenUsage, ToolCallDelta
from agentkit.planner import Decision, Gate, Outcome, ToolPolicy, TurnLimits
from agentkit.planner.spending import (
    Kind,
    Limit,
    MoneyFrom,
    Per,
    Spending,
    SpendingStore,
    ToolSpending,
)
from agentkit.tools import tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

USER = Label.trusted(SourceKind.USER, "r/1")
PAY = {"pay": ToolSpending(MoneyFrom("amount", currency_from="in"), frozenset({"to"}))}


def money(cap: float, currency: str = "NOK", **options: Any) -> Limit:
    return Limit(f"m-{currency}", Kind.MONEY, int(cap * 10**6), currency=currency, **options)


def take(spending: Spending, name: str = "pay", **arguments: Any) -> Decision:
    return anyio.run(spending.check_call, ToolCallPart("1.1.1", name, arguments, USER))


@settings(max_examples=30)
@given(st.lists(st.one_of(st.integers(0, 500), st.floats(0, 500), st.decimals(0, 500).map(str))))
def test_money_is_counted_to_the_last_part_and_never_passes_its_sum(amounts: list[Any]) -> None:
    spending = Spending((money(1000),), tools=PAY)
    spent = 0.0
    for amount in amounts:
        if take(spending, amount=amount, **{"in": "nok"}).outcome is Outcome.ALLOW:
            spent += float(amount)
    assert spent <= 1000 + 1e-6


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"amount": -1, "in": "NOK"},
        {"amount": float("nan"), "in": "NOK"},
        {"amount": "1e99", "in": "NOK"},
        {"amount": "1,000", "in": "NOK"},
        {"amount": True, "in": "NOK"},
        {"amount": [1], "in": "NOK"},
        {"amount": 1},
        {"amount": 1, "in": 5},
        {"amount": 1, "in": "EUR"},
    ],
)
def test_an_amount_that_cannot_be_read_for_certain_is_denied(arguments: dict[str, Any]) -> None:
    decision = take(Spending((money(1000),), tools=PAY), **arguments)
    assert (decision.outcome, decision.rule) == (Outcome.DENY, "budget")
    assert decision.cure


def test_a_limit_on_a_tool_that_tells_no_amount_denies_it_and_no_other() -> None:
    spending = Spending((money(10, tools=frozenset({"give"})),), tools=PAY)
    assert take(spending, "give", amount=1).outcome is Outcome.DENY
    assert take(spending, "pay", amount=1).outcome is Outcome.ALLOW


def test_each_destination_of_a_call_is_counted_by_itself_and_in_any_spelling() -> None:
    per = frozenset({Per.DESTINATION})
    spending = Spending((Limit("d", Kind.CALLS, 2, 3600.0, per),), tools=PAY)
    assert take(spending, to=["Ola@example.no", "kari@example.no"]).outcome is Outcome.ALLOW
    assert take(spending, to=" ola@EXAMPLE.no ").outcome is Outcome.ALLOW
    refused = take(spending, to=["per@example.no", "ola@example.no"])
    assert (refused.outcome, refused.rule) == (Outcome.DENY, "rate")
    assert "wait" in refused.cure
    assert take(spending, to="kari@example.no").outcome is Outcome.ALLOW
    assert take(spending, to="per@example.no").outcome is Outcome.ALLOW


@pytest.mark.parametrize(
    "spellings",
    [
        ("NO93 8601 1117 947", "NO9386011117947", "no93-8601-1117-947", "NO938 6011117947\u200b"),
        ("8601.11.17947", "86011117947", "8601 11 17947", "8601\u00a011\u00a017947"),
        ("+47 912 34 567", "0047 91234567", "+47-912-34-567", "\uff0b4791234567"),
        ("Kari Nordmann", "kari  nordmann", "KARI-NORDMANN", "Kari\u00adNordmann"),
    ],
)
def test_a_destination_is_one_in_all_its_spellings(spellings: tuple[str, ...]) -> None:
    limit = Limit("d", Kind.CALLS, 1, 3600.0, frozenset({Per.DESTINATION}))
    for first, second in itertools.permutations(spellings, 2):
        spending = Spending((limit,), tools=PAY)
        assert take(spending, to=first).outcome is Outcome.ALLOW
        assert take(spending, to=second).outcome is Outcome.DENY
        for other in ("NO9386011117948", "per.as@example.no", "peras@example.no"):
            assert take(spending, to=other).outcome is Outcome.ALLOW


def test_users_and_agents_share_what_is_not_per_each(tmp_path: Path) -> None:
    path = tmp_path / "b.sqlite"
    limits = (
        Limit("all", Kind.CALLS, 3, None, frozenset()),
        Limit("each", Kind.CALLS, 2, None, frozenset({Per.USER})),
    )
    kari = Spending(limits, SpendingStore(path), "a", "kari")
    ola = Spending(limits, SpendingStore(path), "b", "ola")
    outcomes = [take(one).outcome is Outcome.ALLOW for one in (kari, kari, kari, ola, ola)]
    assert outcomes == [True, True, False, True, False]


def test_a_locked_store_denies_the_call_by_name(tmp_path: Path) -> None:
    path = tmp_path / "b.sqlite"
    spending = Spending((Limit("l", Kind.CALLS, 9),), SpendingStore(path, patience_s=0.02))
    with sqlite3.connect(path, isolation_level=None) as holder:
        holder.execute("BEGIN IMMEDIATE")
        denied = take(spending)
        holder.execute("ROLLBACK")
    holder.close()
    assert (denied.outcome, denied.rule) == (Outcome.DENY, "budget")
    assert "locked" in denied.reason
    assert take(spending).outcome is Outcome.ALLOW


@tool(effect="read", returns="inputs")
def double(n: int) -> int:
    """Double a number."""
    return 2 * n


def _spend(house: Any, spending: Spending, replies: list[Any]) -> Any:
    planner = house.planner(replies, double)
    gate = Gate((double,), {}, planner.guards, planner.guards, spending=spending)
    object.__setattr__(planner, "gate", gate)
    return planner


def test_tokens_are_reserved_before_and_settled_after_each_step(
    house: Any, propose: Callable[..., list[Any]]
) -> None:
    usage = TokenUsage(prompt_tokens=30, completion_tokens=10)
    finish = [TextDelta("Fine."), FinishDelta("stop", usage)]
    limit = Limit("t", Kind.TOKENS, 5000, None, frozenset({Per.USER}))
    spending = Spending((limit,))
    house.run(_spend(house, spending, [finish]))
    left = anyio.run(spending.reserve_tokens, 1, 10_000).granted
    assert left == 5000 - 40
    with pytest.raises(TurnStopped, match="t allows") as stopped:
        house.run(_spend(house, spending, [finish]))
    assert stopped.value.reason == "budget"
    assert house.of_kind("turn_ended")[-1].record.body["reason"] == "budget"
    assert len(house.of_kind("model")) == 1


def test_a_backend_that_tells_no_usage_is_counted_by_the_most_it_can_have_used(house: Any) -> None:
    spending = Spending((Limit("t", Kind.TOKENS, 1500, None),))
    planner = _spend(house, spending, ["Fine."] * 9)
    assert house.run(planner).answer.tokens > 0
    assert house.run(planner).answer.tokens > 0
    with pytest.raises(TurnStopped, match="t allows"):
        house.run(planner)


@pytest.mark.parametrize(
    ("error", "kept"), [(BackendRefused("no connection"), False), (BackendError("cut off"), True)]
)
def test_a_model_call_that_fails_counts_unless_the_backend_did_not_take_it(
    house: Any, error: BackendError, kept: bool
) -> None:
    spending = Spending((Limit("t", Kind.TOKENS, 5000, None),))
    with pytest.raises(BackendError):
        house.run(_spend(house, spending, [error]))
    left = anyio.run(spending.reserve_tokens, 1, 10_000).granted
    assert (left < 5000) is kept


def test_a_model_call_that_is_cancelled_in_its_settlement_is_settled() -> None:
    spending = Spending((Limit("t", Kind.TOKENS, 5000, None),))

    async def main() -> None:
        with anyio.CancelScope() as scope:
            async with spending.model_call(100, 500) as hold:
                hold.used = 40
                scope.cancel()

    anyio.run(main)
    assert anyio.run(spending.reserve_tokens, 1, 10_000).granted == 4960


def test_a_step_that_passes_the_tokens_of_its_turn_is_the_last_and_does_nothing(
    house: Any,
) -> None:
    usage = TokenUsage(prompt_tokens=900, completion_tokens=200)
    reply = [ToolCallDelta("double", {"n": 1}), FinishDelta("calls", usage)]
    planner = house.planner([reply, "never"], double, limits=TurnLimits(tokens=1000))
    with pytest.raises(TurnStopped) as stopped:
        house.run(planner)
    assert stopped.value.reason == "tokens"
    assert "decision" not in house.kinds


def test_a_turn_may_take_what_is_left_of_the_wall_time(house: Any) -> None:
    limit = Limit("w", Kind.WALL, 1500)
    spending = Spending((limit,))

    async def main() -> list[float]:
        async with spending.wall_time(60.0) as first:
            pass
        async with spending.wall_time(60.0) as second, spending.wall_time(0.001) as third:
            return [first, second, third]
        return []

    with pytest.raises(TurnStopped, match=r"w allows 1\.5 s"):
        anyio.run(main)
    assert anyio.run(_first, spending) <= 1.5


async def _first(spending: Spending) -> float:
    async with spending.wall_time(60.0) as granted:
        return granted


def test_calls_a_minute_hold_without_a_shared_store(
    house: Any, propose: Callable[..., list[Any]]
) -> None:
    planner = house.planner(
        [propose(("double", {"n": 1}), ("double", {"n": 2})), "Fine."],
        double,
        policies={"double": ToolPolicy(calls_per_minute=1)},
    )
    house.run(planner)
    outcomes = [entry.record.body["outcome"] for entry in house.of_kind("decision")]
    assert outcomes == ["allow", "deny"]
    assert house.of_kind("decision")[1].record.body["rule"] == "rate"
