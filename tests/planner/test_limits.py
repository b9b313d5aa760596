from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.errors import TurnStopped
from agentkit.planner.budget import Budget, TurnLimits
from agentkit.planner.decision import Decision, Outcome, Ruling
from agentkit.planner.rate import RateLimiter


@given(st.lists(st.floats(0, 30), max_size=60), st.integers(0, 5))
def test_no_window_of_a_minute_holds_more_calls_than_allowed(
    pauses: list[float], limit: int
) -> None:
    now = 0.0
    limiter = RateLimiter({"send": limit}, clock=lambda: now)
    admitted: list[float] = []
    for pause in pauses:
        now += pause
        wait_s = limiter.take("send")
        if wait_s == 0:
            admitted.append(now)
        else:
            assert 0 < wait_s <= 60
        assert len([time for time in admitted if now - time < 60]) <= limit


def test_a_tool_without_a_limit_is_never_held() -> None:
    limiter = RateLimiter({"send": 1})
    assert [limiter.take("read") for _ in range(100)] == [0.0] * 100


def test_each_limit_stops_the_turn_by_its_name() -> None:
    budget = Budget(TurnLimits(steps=2, tool_calls=3, tokens=100))
    budget.take_step()
    assert not budget.last_step
    budget.take_step()
    assert budget.last_step
    with pytest.raises(TurnStopped, match=r"limits\.steps") as steps:
        budget.take_step()
    assert steps.value.reason == "steps"
    budget.take_calls(3)
    with pytest.raises(TurnStopped, match="3 tool calls"):
        budget.take_calls(1)
    assert budget.tokens_left(500) == 100
    budget.add_tokens(100)
    assert budget.tokens_left(500) == 1
    with pytest.raises(TurnStopped) as tokens:
        Budget(TurnLimits(tokens=100), tokens=100).take_step()
    assert tokens.value.reason == "tokens"


decisions = st.builds(Decision, st.sampled_from(Outcome), st.text(max_size=3))


@given(st.lists(decisions, min_size=1))
def test_the_most_restrictive_decision_wins_and_the_first_among_equals(
    trail: list[Decision],
) -> None:
    order = [Outcome.ALLOW, Outcome.ASK, Outcome.DENY]
    worst = max(order.index(decision.outcome) for decision in trail)
    final = Ruling(tuple(trail)).final
    assert final is next(d for d in trail if order.index(d.outcome) == worst)


def test_no_decision_at_all_denies() -> None:
    assert Ruling(()).final.outcome is Outcome.DENY
