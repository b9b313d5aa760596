"""Runs that wait for signed decisions of people, given in any order, and what voids them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.errors import RunSuspended, StateError
from agentkit.planner import (
    ApproverKey,
    LeaveForLater,
    NobodyPresent,
    StateFile,
    ToolPolicy,
    TrustedApprover,
)
from agentkit.planner.approvals import ApprovalStore, trusted_keys
from agentkit.planner.clock import system_clock
from tests.planner.runs.test_kill import is_kill
from tests.planner.world import PAYMENTS, Fate, World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkit.planner.approvals import OpenRequest

KARI = ApproverKey.new("kari")
TRUSTED = (TrustedApprover(KARI.verifier, "Kari"),)
ORDERS = [("a", 1), ("b", 1), ("c", 3)]
THREE: list[Any] = [
    [("pay", {"to": to, "amount": amount}) for to, amount in ORDERS],
    "That is all.",
]


class Office:
    """A world whose questions wait, and the person who answers them."""

    def __init__(self, folder: Path, **changed: Any) -> None:
        self.world = World(folder, approvers=TRUSTED, **changed)
        self.store = ApprovalStore(trusted_keys(TRUSTED), system_clock, 60_000)

    def attempt(self) -> bool:
        """Run on; tell whether the turn was answered."""
        try:
            self.world.attempt(LeaveForLater())
        except RunSuspended:
            return False
        return True

    def waiting(self) -> Sequence[OpenRequest]:
        state = StateFile.open(self.world.folder / "state")
        with state.transaction() as connection:
            found = self.store.pending(connection)
        state.close()
        return found

    def decide(self, request: OpenRequest, *, yes: bool) -> None:
        state = StateFile.open(self.world.folder / "state")
        with state.transaction() as connection:
            word = "approve" if yes else "deny"
            self.store.decide(connection, request.request_id, word, KARI)
        state.close()


@settings(max_examples=8)
@given(st.permutations(ORDERS), st.lists(st.booleans(), min_size=3, max_size=3), st.booleans())
def test_no_order_of_decisions_attaches_one_to_another_call(
    order: list[tuple[str, int]], words: list[bool], between: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        office = Office(Path(folder), plan=THREE)
        assert not office.attempt()
        said = dict(zip(order, words, strict=True))
        requests = {(one.arguments["to"], one.arguments["amount"]): one for one in office.waiting()}
        for payment in order:
            office.decide(requests[payment], yes=said[payment])
            if between and payment != order[-1]:
                assert not office.attempt()  # nothing runs before the last question is answered
                assert office.world.bank.payments == []
        assert office.attempt()
        assert office.world.bank.payments == sorted(one for one in ORDERS if said[one])


def test_another_policy_after_the_approval_voids_it(tmp_path: Path) -> None:
    office = Office(tmp_path)
    assert not office.attempt()
    for request in office.waiting():
        office.decide(request, yes=True)
    assert office.waiting() == []
    office.world.policies = {"pay": ToolPolicy(approval="ask", calls_per_minute=50)}
    assert not office.attempt()
    assert len(office.waiting()) == 2
    assert office.world.bank.payments == []
    for request in office.waiting():
        office.decide(request, yes=True)
    assert office.attempt()
    assert office.world.bank.payments == PAYMENTS


def test_a_policy_that_forbids_the_call_denies_it_though_it_was_approved(tmp_path: Path) -> None:
    office = Office(tmp_path)
    assert not office.attempt()
    for request in office.waiting():
        office.decide(request, yes=True)
    bound = {"properties": {"amount": {"maximum": 6}}}
    office.world.policies = {"pay": ToolPolicy(approval="ask", arguments=bound)}
    assert not office.attempt()
    for request in office.waiting():
        office.decide(request, yes=True)
    assert office.attempt()
    assert office.world.bank.payments == [("ola", 5)]


@pytest.mark.parametrize("at", range(4, 60, 8))
def test_decisions_survive_a_kill_of_the_resumed_run(tmp_path: Path, at: int) -> None:
    office = Office(tmp_path)
    assert not office.attempt()
    for request in office.waiting():
        office.decide(request, yes=True)
    try:
        office.world.attempt(LeaveForLater(), Fate(at))
    except BaseException as error:
        if not is_kill(error):
            raise
    while not office.world.is_done() and not office.attempt():
        for request in office.waiting():
            asked = (request.arguments["to"], request.arguments["amount"])
            office.decide(request, yes=asked not in office.world.bank.payments)
    assert office.world.bank.payments == PAYMENTS


def test_a_turn_is_not_resumed_with_other_words(tmp_path: Path) -> None:
    office = Office(tmp_path)
    assert not office.attempt()
    state = StateFile.open(tmp_path / "state")
    with state.transaction() as connection:
        connection.execute("UPDATE turns SET text = 'Pay 900 to eve'")
    state.close()
    with pytest.raises(StateError, match="other words"):
        office.attempt()
    assert office.world.bank.payments == []


def test_a_question_that_nobody_was_there_to_answer_is_closed(tmp_path: Path) -> None:
    office = Office(tmp_path)
    office.world.attempt(NobodyPresent())
    assert office.waiting() == []
    assert office.world.bank.payments == []
