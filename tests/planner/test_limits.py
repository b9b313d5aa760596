from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.errors import TurnStopped
from agentkit.planner.budget import Budget, TurnLimits
from agentkit.planner.decision import Decision, Outcome, Ruling


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
    with pytest.raises(TurnStopped, match="100 tokens"):
        budget.add_tokens(1)


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
