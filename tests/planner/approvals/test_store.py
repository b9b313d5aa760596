"""Decisions in the store: bound, signed, single-use, expiring; nothing else counts."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.errors import ApprovalError, StateError
from agentkit.planner import StateFile
from agentkit.planner.approvals import (
    ApprovalStore,
    ApproverKey,
    Binding,
    OpenRequest,
    SignedStatement,
    Statement,
    TrustedApprover,
    trusted_keys,
)
from agentkit.planner.clock import Instant

if TYPE_CHECKING:
    from agentkit.messages import JsonObject
    from agentkit.planner.approvals import Word

KARI, OLA, EVE = (ApproverKey.new(name) for name in ("kari", "ola", "eve"))
TRUSTED = (TrustedApprover(KARI.verifier, "Kari"), TrustedApprover(OLA.verifier, "Ola"))
ARGUMENTS: JsonObject = {"to": "NO9386011117947", "amount": 5}
DECISION: JsonObject = {"rule": "provenance", "reason": "", "cure": "", "evidence": []}
LIFETIME_MS = 60_000


@dataclass
class Hands:
    """A clock that is set by hand."""

    wall_ms: int = 1_000_000
    uptime_ms: int = 5_000

    def __call__(self) -> Instant:
        return Instant(self.wall_ms, self.uptime_ms)

    def pass_ms(self, milliseconds: int) -> None:
        self.wall_ms += milliseconds
        self.uptime_ms += milliseconds


class Desk:
    """A store in memory, and what a test does with it."""

    def __init__(self, trusted: tuple[TrustedApprover, ...] = TRUSTED) -> None:
        self.clock = Hands()
        self.state = StateFile.in_memory()
        self.store = ApprovalStore(trusted_keys(trusted), self.clock, LIFETIME_MS)

    def ask(
        self,
        call_id: str = "1.1.1",
        arguments: JsonObject = ARGUMENTS,
        persons: int = 1,
        **changed: str,
    ) -> OpenRequest:
        found = replace(bound(call_id, arguments), **changed)
        with self.state.transaction() as connection:
            return self.store.open(connection, found, arguments, DECISION, persons)

    def say(
        self,
        request: OpenRequest,
        key: ApproverKey = KARI,
        word: Word = "approve",
        **more: Any,
    ) -> SignedStatement:
        with self.state.transaction() as connection:
            return self.store.decide(connection, request.request_id, word, key, **more)

    def take(self, signed: SignedStatement) -> None:
        with self.state.transaction() as connection:
            self.store.take(connection, signed)

    def redeem(self, request: OpenRequest, binding: Binding | None = None) -> str:
        with self.state.transaction() as connection:
            return self.store.redeem(
                connection, request.request_id, binding or request.binding, request.persons
            ).state

    def plant(self, request: OpenRequest, approver: str, signed: SignedStatement) -> None:
        """Write a decision past every check, as somebody with the file could."""
        with self.state.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO decisions VALUES (?, ?, ?, ?, 0)",
                (request.request_id, approver, signed.message, signed.signature),
            )


def bound(call_id: str = "1.1.1", arguments: JsonObject = ARGUMENTS) -> Binding:
    return Binding.of("pay", arguments, run_id="r", call_id=call_id, policy_sha256="p")


def statement(request: OpenRequest, key: ApproverKey = KARI, **changed: Any) -> Statement:
    plain = Statement(
        request.request_id, request.binding, "approve", key.name, 1_000_000, request.expires_ms
    )
    return replace(plain, **changed)


def test_a_used_decision_keeps_its_people_and_words_and_permits_nothing() -> None:
    desk = Desk()
    request = desk.ask()
    desk.say(request, comment="for the rent")
    desk.redeem(request)
    without_keys = replace(desk.store, key_of=trusted_keys(()))
    with desk.state.transaction() as connection:
        standing = desk.store.stands(connection, request.request_id)
        later = without_keys.stands(connection, request.request_id)
    assert (standing.state, standing.people) == ("used", ("kari",))
    assert standing.why == "for the rent"
    assert (later.state, later.people) == ("used", ("kari",))
    with pytest.raises(ApprovalError, match="used already") as refused:
        desk.redeem(request)
    assert refused.value.cure == ""


def test_a_decision_permits_its_call_once() -> None:
    desk = Desk()
    request = desk.ask()
    with pytest.raises(ApprovalError, match="waiting"):
        desk.redeem(request)
    desk.say(request)
    assert desk.redeem(request) == "approved"
    with pytest.raises(ApprovalError, match="used already"):
        desk.redeem(request)
    with pytest.raises(ApprovalError, match="used already"):
        desk.ask()


@given(
    st.sampled_from([field.name for field in fields(Binding)]),
    st.text(alphabet="0123456789abcdef", min_size=1, max_size=64),
)
def test_any_change_of_argument_tool_run_call_or_policy_voids_it(name: str, value: str) -> None:
    desk = Desk()
    request = desk.ask()
    desk.say(request)
    changed = replace(request.binding, **{name: value})
    with pytest.raises(ApprovalError, match=f"has changed since: {name}"):
        desk.redeem(request, changed)
    assert desk.redeem(request) == "approved"


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        max_size=4,
    )
)
def test_every_other_arguments_object_has_another_binding(arguments: Any) -> None:
    same = json.dumps(arguments, sort_keys=True) == json.dumps(ARGUMENTS, sort_keys=True)
    assert (bound(arguments=arguments) == bound()) is same


@given(st.data())
def test_no_order_of_parallel_decisions_attaches_one_to_another_call(data: Any) -> None:
    desk = Desk()
    calls = [f"1.1.{number}" for number in range(1, 5)]
    # Two of the calls have the same arguments: only the call tells them apart.
    requests = {call: desk.ask(call, {"amount": int(call[-1]) // 2}) for call in calls}
    words = {call: data.draw(st.sampled_from(["approve", "deny", None])) for call in calls}
    for call in data.draw(st.permutations(calls)):
        if words[call] is not None:
            desk.say(requests[call], data.draw(st.sampled_from([KARI, OLA])), words[call])
    for call in data.draw(st.permutations(calls)):
        if words[call] == "approve":
            assert desk.redeem(requests[call]) == "approved"
        else:
            with pytest.raises(ApprovalError):
                desk.redeem(requests[call])
        for other in calls:
            if other != call:
                with pytest.raises(ApprovalError):
                    desk.redeem(requests[call], requests[other].binding)


def test_a_decision_for_one_call_is_not_taken_for_another() -> None:
    desk = Desk()
    first, second = desk.ask("1.1.1"), desk.ask("1.1.2")
    moved = statement(first, request_id=second.request_id).sign(KARI)
    with pytest.raises(ApprovalError, match="for another call"):
        desk.take(moved)
    desk.plant(second, "kari", moved)
    with pytest.raises(ApprovalError, match="for another call"):
        desk.redeem(second)


@pytest.mark.parametrize(
    ("key", "changed", "why"),
    [
        (EVE, {}, "no trusted approver"),
        (EVE, {"approver": "kari"}, "not theirs"),
        (KARI, {"expires_ms": 10**15}, "times"),
        (KARI, {"issued_ms": 1_002_000}, "times"),
        (KARI, {"binding": bound("1.1.9")}, "another call"),
        (KARI, {"binding": bound(arguments={"amount": 500})}, "another call"),
        (KARI, {"request_id": "000000000000"}, "no request"),
    ],
)
def test_forged_and_altered_decisions_are_refused(
    key: ApproverKey, changed: dict[str, Any], why: str
) -> None:
    desk = Desk()
    request = desk.ask()
    with pytest.raises(ApprovalError, match=why):
        desk.take(statement(request, key, **changed).sign(key))
    with pytest.raises(ApprovalError, match="waiting"):
        desk.redeem(request)


@given(st.data())
def test_one_flipped_bit_anywhere_is_refused(data: Any) -> None:
    desk = Desk()
    request = desk.ask()
    signed = statement(request).sign(KARI)
    which = data.draw(st.sampled_from(["message", "signature"]))
    raw = bytearray(getattr(signed, which))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    altered = replace(signed, **{which: bytes(raw)})
    with pytest.raises(ApprovalError):
        desk.take(altered)
    desk.plant(request, "kari", altered)
    with pytest.raises(ApprovalError):
        desk.redeem(request)


def test_a_replayed_decision_does_not_serve_the_next_request_of_the_same_call() -> None:
    desk = Desk()
    old = desk.ask()
    signed = desk.say(old)
    new = desk.ask(policy_sha256="q")
    assert new.request_id != old.request_id
    with pytest.raises(ApprovalError, match="void"):
        desk.take(signed)
    desk.plant(new, "kari", signed)
    with pytest.raises(ApprovalError):
        desk.redeem(new)
    with pytest.raises(ApprovalError, match="void"):
        desk.redeem(old)


def test_nobody_decides_twice_and_a_duplicate_counts_once() -> None:
    desk = Desk((*TRUSTED, TrustedApprover(EVE.verifier, " KARI ")))
    request = desk.ask(persons=2)
    signed = desk.say(request)
    for again in (signed, statement(request, EVE).sign(EVE)):
        with pytest.raises(ApprovalError, match="decided on request"):
            desk.take(again)
    desk.plant(request, "eve", statement(request, EVE).sign(EVE))
    with pytest.raises(ApprovalError, match="waiting"):
        desk.redeem(request)
    desk.say(request, OLA)
    assert desk.redeem(request) == "approved"


def test_one_no_outweighs_a_yes() -> None:
    desk = Desk()
    request = desk.ask(persons=2)
    desk.say(request)
    desk.say(request, OLA, "deny", comment="no")
    with pytest.raises(ApprovalError, match="ola said no: no"):
        desk.redeem(request)


@given(st.integers(0, 3 * LIFETIME_MS), st.booleans())
def test_a_decision_is_good_for_its_lifetime_and_not_longer(passed: int, decided: bool) -> None:
    desk = Desk()
    request = desk.ask()
    if decided:
        desk.say(request)
    desk.clock.pass_ms(passed)
    if decided and passed < LIFETIME_MS:
        assert desk.redeem(request) == "approved"
    else:
        with pytest.raises(ApprovalError):
            desk.redeem(request)


@given(st.integers(1, 2 * LIFETIME_MS), st.integers(0, 3 * LIFETIME_MS))
def test_a_clock_set_back_never_lengthens_a_decision(passed: int, back: int) -> None:
    desk = Desk()
    request = desk.ask()
    desk.say(request)
    desk.clock.pass_ms(passed)
    desk.clock.wall_ms -= back
    try:
        desk.redeem(request)
    except ApprovalError:
        return
    assert passed < LIFETIME_MS


@given(st.integers(1_001, 10**9))
def test_a_clock_set_back_over_a_restart_permits_nothing(back: int) -> None:
    desk = Desk()
    request = desk.ask()
    desk.say(request)
    desk.clock.wall_ms -= back
    desk.clock.uptime_ms = 0
    with pytest.raises(ApprovalError, match="clock went back"):
        desk.redeem(request)


def test_arguments_that_were_rewritten_in_the_file_are_never_shown() -> None:
    desk = Desk()
    request = desk.ask()
    with desk.state.transaction() as connection:
        connection.execute("UPDATE requests SET arguments = ?", (b'{"amount":1}',))
    with pytest.raises(StateError, match="tampered"):
        desk.say(request)


@pytest.mark.parametrize("rewritten", [0, 1, 3])
def test_a_number_of_persons_that_was_rewritten_in_the_file_permits_nothing(rewritten: int) -> None:
    desk = Desk()
    request = desk.ask(persons=2)
    desk.say(request)
    with desk.state.transaction() as connection:
        connection.execute("UPDATE requests SET persons = ?", (rewritten,))
    with pytest.raises(ApprovalError, match="the gate requires 2"):
        desk.redeem(request)
    with (
        desk.state.transaction() as connection,
        pytest.raises(ApprovalError, match="the gate requires 2"),
    ):
        desk.store.stands(connection, request.request_id, persons=2)


@given(
    st.builds(
        Statement,
        st.text(),
        st.builds(Binding, *([st.text()] * 5)),
        st.sampled_from(["approve", "deny"]),
        st.text(),
        st.integers(),
        st.integers(),
        st.text(),
    )
)
def test_a_statement_reads_back_as_it_was_signed(original: Statement) -> None:
    assert Statement.parse(original.message) == original
