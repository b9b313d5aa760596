"""What policies say of calls: forbid, ask, permit, and every way of not being able to say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.errors import SpecError
from agentkit.labels import Label, SourceKind
from agentkit.planner import Decision, Outcome
from agentkit.planner.policy import (
    ArgumentFacts,
    CallFacts,
    Comparison,
    Conditions,
    Policies,
    PolicySource,
    Rule,
    RuleFault,
    Setting,
    load_policies,
)
from agentkit.tools import tool

NOON = datetime(2026, 1, 7, 12, tzinfo=UTC)  # a Wednesday


@tool(effect="external", sensitive=frozenset({"to"}))
def pay(
    to: str,
    *,
    amount: float = 0,
    count: int = 0,
    note: str | None = None,
    tags: list[str] | None = None,
) -> str:
    """Pay somebody."""
    return ""


@tool(effect="read")
def look(page: str) -> str:
    """Look at a page."""
    return ""


def cedar(text: str, **options: Any) -> Policies:
    return load_policies(PolicySource(cedar={"own.cedar": text}, **options), [pay, look])


def rules(*stated: Rule, **options: Any) -> Policies:
    return load_policies(PolicySource(rules=stated, **options), [pay, look])


def ask(
    policies: Policies,
    arguments: dict[str, Any] | None = None,
    *,
    called: Any = pay,
    at: datetime = NOON,
    user: str = "kari",
    origins: dict[str, ArgumentFacts] | None = None,
    suspect: bool = False,
) -> Decision:
    given_arguments = {"to": "ola"} if arguments is None else arguments
    setting = Setting("analyst", user, "wasm")
    moment = at.astimezone(policies.zone)
    return policies.decide(
        CallFacts(called, given_arguments, moment, setting, origins or {}, suspect)
    )


def test_what_nothing_forbids_is_left_to_the_other_checks() -> None:
    decision = ask(cedar('@id("x") forbid (principal, action == Action::"look", resource);'))
    assert (decision.outcome, decision.policies) == (Outcome.ALLOW, ("agentkit.base",))


def test_a_forbid_denies_by_its_id_and_an_ask_asks_with_its_words() -> None:
    text = """
    @id("no-looking") @because("Not today.")
    forbid (principal, action == Action::"look", resource);
    @ask("Is Ola meant?")
    forbid (principal, action == Action::"pay", resource)
    when { context.arguments.to == "ola" };
    """
    policies = cedar(text)
    denied = ask(policies, {"page": "x"}, called=look)
    assert (denied.outcome, denied.policies) == (Outcome.DENY, ("no-looking",))
    assert "Not today." in denied.reason
    assert denied.cure
    asked = ask(policies)
    assert (asked.outcome, asked.policies) == (Outcome.ASK, ("own.cedar:4",))
    assert "Is Ola meant?" in asked.reason


def test_a_denial_wins_over_a_question() -> None:
    text = '@id("q") @ask("?") forbid (principal, action, resource);'
    text += '@id("d") forbid (principal, action, resource);'
    decision = ask(cedar(text))
    assert (decision.outcome, decision.policies) == (Outcome.DENY, ("d",))


def test_with_a_permit_of_the_operators_all_else_is_denied() -> None:
    policies = cedar(
        '@id("ola") permit (principal, action == Action::"pay", resource)'
        ' when { context.arguments.to == "ola" };'
        '@id("kari") @ask("sure?") permit (principal, action == Action::"pay", resource)'
        ' when { context.arguments.to == "kari" };'
    )
    assert ask(policies, {"to": "ola"}).outcome is Outcome.ALLOW
    asked = ask(policies, {"to": "kari"})
    assert (asked.outcome, asked.policies) == (Outcome.ASK, ("kari",))
    nobody = ask(policies, {"to": "mallory"})
    assert nobody.outcome is Outcome.DENY
    assert "no policy permits" in nobody.reason


def test_a_question_permits_nothing_that_no_policy_permits() -> None:
    text = """
    @id("kari-pays") permit (principal == User::"kari", action, resource);
    @id("large") @ask("So much?") forbid (principal, action == Action::"pay", resource)
    when { context.arguments.to == "ola" };
    """
    policies = cedar(text)
    asked = ask(policies)
    assert (asked.outcome, asked.policies) == (Outcome.ASK, ("large",))
    for to in ("ola", "eva"):
        denied = ask(policies, {"to": to}, user="mallory")
        assert denied.outcome is Outcome.DENY
        assert "no policy permits" in denied.reason


def test_an_error_in_any_policy_denies_though_cedar_itself_would_allow() -> None:
    text = (
        '@id("overflow") forbid (principal, action == Action::"pay", resource)'
        " when { context.arguments.count + 9223372036854775807 < 0 };"
        '@id("all") permit (principal, action, resource);'
    ).replace(
        "context.arguments.count",
        "(if context.arguments has count then context.arguments.count else 0)",
    )
    policies = cedar(text)
    assert ask(policies, {"to": "ola", "count": 0}).outcome is Outcome.ALLOW
    decision = ask(policies, {"to": "ola", "count": 1})
    assert decision.outcome is Outcome.DENY
    assert "could not be decided" in decision.reason
    assert "overflow" in decision.reason


def test_a_number_that_cedar_cannot_hold_denies_only_where_a_policy_reads_it() -> None:
    reads = rules(Rule("r", "deny", ("pay",), when=Conditions({"amount": Comparison(above=5)})))
    assert ask(reads, {"to": "ola", "amount": 1.5}).outcome is Outcome.ALLOW
    assert "four digits" in ask(reads, {"to": "ola", "amount": 1.23456}).reason
    assert ask(reads, {"to": "ola", "amount": 1e300}).outcome is Outcome.DENY
    other = rules(Rule("r", "deny", ("pay",), when=Conditions({"to": Comparison(equals="x")})))
    assert ask(other, {"to": "ola", "amount": 1.23456}).outcome is Outcome.ALLOW
    whole = cedar(
        'forbid (principal, action == Action::"look", resource)'
        ' when { context.arguments == {"page": "secret"} };'
    )
    assert ask(whole, {"page": "secret"}, called=look).outcome is Outcome.DENY


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("\n\nforbid (principal, action, resource) when { ; };", "own.cedar:3", "no Cedar policy"),
        ('// one\nforbid (principal, action == Action::"pray", resource);', "own.cedar:2", "pray"),
        (
            (
                'forbid (principal, action == Action::"pay", resource)\n'
                'when { context.arguments.too == "x" };'
            ),
            "own.cedar:1",
            "too",
        ),
        (
            (
                'permit (principal, action, resource);\nforbid (principal, action == Action::"pay",'
                ' resource) when { context.arguments.note == "x" };'
            ),
            "own.cedar:2",
            "optional",
        ),
        ("permit (principal == ?principal, action, resource);", "own.cedar:1", "template"),
        ("@aks forbid (principal, action, resource);", "own.cedar:1", "@aks means nothing"),
        ("forbid (principal, action, resource)", "own.cedar:1", "no Cedar policy"),
        (
            (
                '@id("a") permit (principal, action, resource);\n'
                '@id("a") permit (principal, action, resource);'
            ),
            "own.cedar:2",
            "used twice, first at own.cedar:1",
        ),
        ('permit (principal, action, resource) when { "a;b', "own.cedar:1", "no Cedar policy"),
    ],
)
def test_every_fault_is_found_at_load_and_has_its_place(
    text: str, place: str, message: str
) -> None:
    with pytest.raises(SpecError) as raised:
        cedar(text)
    assert raised.value.place == place
    assert message in raised.value.message
    assert raised.value.cure


@settings(max_examples=15)
@given(st.text(max_size=20), st.text(max_size=20))
def test_a_text_is_compared_letter_by_letter_whatever_is_in_it(wanted: str, found: str) -> None:
    def holds(comparison: Comparison, text: str) -> bool:
        when = Conditions({"to": comparison})
        return ask(rules(Rule("r", "deny", ("pay",), when=when)), {"to": text}).outcome is (
            Outcome.DENY
        )

    assert holds(Comparison(equals=wanted), wanted)
    assert holds(Comparison(equals=wanted), found) == (wanted == found)
    assert holds(Comparison(outside=(wanted,)), found) == (wanted != found)
    literal = wanted.replace("*", "\\*")
    if not wanted.endswith("\\") and "\\*" not in wanted:
        assert holds(Comparison(like=literal), found) == (wanted == found)
        assert holds(Comparison(like=f"*{literal}*"), f"{found}{wanted}{found}")


@settings(max_examples=25)
@given(st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12))
def test_numbers_are_compared_exactly(bound: int, value: int) -> None:
    limits = {"above": value > bound, "at_most": value <= bound}
    for word, expected in limits.items():
        when = Conditions(
            {"count": Comparison(**{word: bound}), "amount": Comparison(**{word: bound / 4})}
        )
        policies = rules(Rule("r", "deny", ("pay",), when=when))
        decision = ask(policies, {"to": "x", "count": value, "amount": value / 4})
        assert (decision.outcome is Outcome.DENY) == expected


def test_lists_and_absent_arguments_take_the_stricter_reading() -> None:
    outside = rules(
        Rule("r", "deny", ("pay",), when=Conditions({"tags": Comparison(outside=("a", "b"))}))
    )
    assert ask(outside, {"to": "x", "tags": ["a", "b"]}).outcome is Outcome.ALLOW
    assert ask(outside, {"to": "x", "tags": ["a", "c"]}).outcome is Outcome.DENY
    assert ask(outside, {"to": "x"}).outcome is Outcome.DENY
    unlike = rules(Rule("r", "ask", ("pay",), when=Conditions({"note": Comparison(unlike="i*")})))
    assert ask(unlike, {"to": "x", "note": "inv"}).outcome is Outcome.ALLOW
    assert ask(unlike, {"to": "x", "note": None}).outcome is Outcome.ASK
    one_of = rules(
        Rule("r", "deny", ("pay",), when=Conditions({"tags": Comparison(one_of=("a",))}))
    )
    assert ask(one_of, {"to": "x"}).outcome is Outcome.ALLOW
    assert ask(one_of, {"to": "x", "tags": ["b", "a"]}).outcome is Outcome.DENY


@settings(max_examples=40)
@given(
    st.integers(0, 1439),
    st.integers(0, 1439),
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)),  # noqa: DTZ001 - UTC is put on it
)
def test_hours_and_days_go_by_the_operators_clock(begin: int, end: int, naive: datetime) -> None:
    policies = rules(
        Rule("r", "deny", when=Conditions(hours=(begin, end), days=("sat", "sun"))),
        timezone="Europe/Oslo",
    )
    at = naive.replace(tzinfo=UTC)
    local = at.astimezone(policies.zone)
    minute = local.hour * 60 + local.minute
    inside = begin <= minute < end if begin < end else minute >= begin or minute < end
    expected = inside and local.weekday() >= 5
    assert (ask(policies, at=at).outcome is Outcome.DENY) == expected


def test_users_groups_tiers_labels_and_suspicion_are_known() -> None:
    web = ArgumentFacts(Label.untrusted(SourceKind.TOOL, "look#1.1.1"), found=True)
    own = ArgumentFacts(Label.trusted(SourceKind.USER, "r/1"), found=True)
    held = [
        (Conditions(users=("kari",)), True),
        (Conditions(users_except=("kari",)), False),
        (Conditions(groups=("tellers",)), True),
        (Conditions(groups=("chiefs",)), False),
        (Conditions(tiers=("wasm",)), True),
        (Conditions(tiers=("docker",)), False),
        (Conditions(untrusted=("to",)), True),
        (Conditions(untrusted=("note",)), False),
        (Conditions(sources=("tool:look",)), True),
        (Conditions(sources=("tool:other",)), False),
        (Conditions(suspect=True), True),
        (Conditions(suspect=False), False),
    ]
    for when, expected in held:
        policies = rules(
            Rule("r", "deny", ("pay",), when=when), groups={"tellers": ("kari",), "chiefs": ()}
        )
        decision = ask(
            policies, {"to": "x", "note": "y"}, origins={"to": web, "note": own}, suspect=True
        )
        assert (decision.outcome is Outcome.DENY) == expected, when
        if expected:
            assert [item.path for item in decision.evidence] == ["$.to"]


@pytest.mark.parametrize(
    ("rule", "at"),
    [
        (Rule("r", "deny", ("pray",)), ("deny", 0)),
        (Rule("r", "ask", ("pay",), when=Conditions(untrusted=("x",))), ("when", "untrusted", 0)),
        (
            Rule("r", "ask", ("pay", "look"), when=Conditions({"page": Comparison(equals="x")})),
            ("when", "arguments", "page"),
        ),
        (
            Rule("r", "ask", ("pay",), when=Conditions({"to": Comparison(above=1)})),
            ("when", "arguments", "to"),
        ),
        (
            Rule("r", "ask", ("pay",), when=Conditions({"tags": Comparison(like="a*")})),
            ("when", "arguments", "tags"),
        ),
        (
            Rule("r", "ask", ("pay",), when=Conditions({"count": Comparison(equals="1")})),
            ("when", "arguments", "count"),
        ),
        (
            Rule("r", "ask", ("pay",), when=Conditions({"to": Comparison()})),
            ("when", "arguments", "to"),
        ),
    ],
)
def test_a_rule_that_names_what_is_not_there_is_refused(rule: Rule, at: tuple[str, ...]) -> None:
    with pytest.raises(RuleFault) as raised:
        rules(rule)
    assert (raised.value.at, raised.value.rule_id) == (at, "r")
    assert raised.value.fix


def test_the_digest_changes_with_anything_that_a_decision_rests_on() -> None:
    rule = Rule("r", "deny", ("pay",))
    digests = {
        rules(rule).digest,
        rules(Rule("r", "ask", ("pay",))).digest,
        rules(rule, groups={"g": ("kari",)}).digest,
        rules(rule, timezone="Europe/Oslo").digest,
        load_policies(PolicySource(rules=(rule,)), [pay]).digest,
    }
    assert len(digests) == 5
    assert rules(rule).digest == rules(rule).digest
    later = NOON + timedelta(days=1)
    assert ask(rules(rule), at=later) == ask(rules(rule))
