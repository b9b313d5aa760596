"""The decision as a whole: reviews, alternatives, JSON, fingerprint, refusal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from agentkit.licensing import TABLE_DATE, Outcome, Review

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkit.licensing import Finding, LicenceDecision

SCOUT = "meta-llama/Llama-4-Scout-17B-16E-Instruct"
EU = "llama.eu_multimodal"


def _review(**facts: object) -> Review:
    return Review(**{"reviewer": "Kari Nordmann", "signed": date(2026, 11, 1), **facts})


def test_the_most_restrictive_finding_wins(judge: Callable[..., LicenceDecision]) -> None:
    assert judge().outcome == "allow"
    assert judge(uses_marks=True).outcome == "review"
    assert judge(uses_marks=True, terminated=True).outcome == "deny"
    assert judge(uses_marks=True, terminated=True).obstacles[0].rule == "llama.termination"


def test_a_signed_review_allows_and_names_who(
    judge: Callable[..., LicenceDecision], found: Callable[..., Finding]
) -> None:
    decision = judge(affiliates=("DE",), review=_review(expires=date(2027, 5, 1)))
    assert decision.allowed
    assert decision.expires == date(2027, 5, 1)
    finding = found(decision, EU)
    assert (finding.outcome, finding.reviewer) == ("allow", "Kari Nordmann")
    assert "allowed by reviewer Kari Nordmann on 2026-11-01" in finding.reason


def test_a_review_never_lifts_a_deny(judge: Callable[..., LicenceDecision]) -> None:
    assert judge(country="DE", review=_review()).outcome == "deny"
    assert judge(country="DE", review=_review(covers=(EU,))).outcome == "deny"
    assert judge("acme/unknown", review=_review()).outcome == "deny"


def test_building_on_a_managed_api_in_the_union_waits_for_a_reviewer(
    judge: Callable[..., LicenceDecision],
) -> None:
    facts = {"country": "DE", "access": "managed_api"}
    assert judge(**facts).outcome == "review"
    assert judge(**facts, review=_review()).allowed
    assert not judge(**facts, review=_review(covers=("llama.languages",))).allowed


@pytest.mark.parametrize(
    ("today", "holds"),
    [
        (date(2026, 10, 31), False),
        (date(2026, 11, 1), True),
        (date(2026, 12, 1), True),
        (date(2026, 12, 2), False),
    ],
)
def test_a_review_holds_from_its_signature_to_its_last_day(
    judge: Callable[..., LicenceDecision], today: date, *, holds: bool
) -> None:
    signed = _review(expires=date(2026, 12, 1))
    decision = judge(affiliates=("DE",), review=signed, today=today)
    assert decision.allowed is holds
    if not holds:
        assert "not valid today" in decision.obstacles[0].reason
        assert decision.expires is None


def test_a_review_covers_only_its_rules(judge: Callable[..., LicenceDecision]) -> None:
    facts = {"affiliates": ("DE",), "uses_marks": True}
    assert judge(**facts, review=_review()).allowed
    decision = judge(**facts, review=_review(covers=(EU,)))
    assert [finding.rule for finding in decision.obstacles] == ["llama.trademark"]


def test_an_unused_review_does_not_limit_the_decision(
    judge: Callable[..., LicenceDecision],
) -> None:
    assert judge(review=_review(expires=date(2026, 12, 1))).expires is None


def test_alternatives_are_permitted_models_of_the_same_purpose(
    judge: Callable[..., LicenceDecision],
) -> None:
    assert judge().alternatives == ()
    refused = judge(country="DE")
    offered = {item.model_id: item.licence_id for item in refused.alternatives}
    assert offered["agentkit/smollm2-135m-upcycled"] == "apache-2.0"
    assert offered["meta-llama/Llama-3.3-70B-Instruct"] == "llama3.3"
    assert SCOUT not in offered
    assert all(judge(model_id, "DE").allowed for model_id in offered)
    guards = judge("meta-llama/Llama-Guard-4-12B", "DE").alternatives
    assert {item.model_id for item in guards} == {
        "meta-llama/Llama-Guard-3-1B",
        "meta-llama/Llama-Guard-3-1B-INT4",
        "meta-llama/Llama-Guard-3-8B",
        "meta-llama/Llama-Guard-3-8B-INT8",
        "meta-llama/Llama-Prompt-Guard-2-22M",
        "meta-llama/Llama-Prompt-Guard-2-86M",
    }


def test_alternatives_answer_for_the_same_deployment(
    judge: Callable[..., LicenceDecision],
) -> None:
    offered = judge(country="DE", languages=("nb",)).alternatives
    assert offered
    assert not [item for item in offered if item.licence_id.startswith("llama")]


def test_the_refusal_names_rule_clause_and_cure(judge: Callable[..., LicenceDecision]) -> None:
    assert judge().refusal() is None
    error = judge(country="DE").refusal()
    assert error is not None
    assert (error.rule, error.place, error.exit_code) == (EU, SCOUT, 4)
    assert error.clause == "Llama 4 Acceptable Use Policy, closing paragraph"
    assert "permitted here: agentkit/smollm2-135m-upcycled (apache-2.0)" in error.cure
    reviewed = judge(affiliates=("DE",)).refusal()
    assert reviewed is not None
    assert "named reviewer sign deployment.review" in reviewed.cure


def test_json_is_plain_sorted_and_complete(judge: Callable[..., LicenceDecision]) -> None:
    decision = judge(country="DE", review=_review(expires=date(2027, 1, 1)))
    written = json.dumps(decision.to_json())
    assert written == json.dumps(json.loads(written), sort_keys=True)
    read = json.loads(written)
    assert read["outcome"] == "deny"
    assert read["licence"]["licence_id"] == "llama4"
    assert read["table_date"] == TABLE_DATE.isoformat()
    assert read["fingerprint"] == decision.fingerprint
    assert {item["rule"] for item in read["findings"]} >= {EU, "llama.attribution"}


def test_the_fingerprint_changes_with_every_fact(judge: Callable[..., LicenceDecision]) -> None:
    assert judge().fingerprint == judge().fingerprint
    changed = [
        judge(country="SE"),
        judge(monthly_active_users=1),
        judge(name="Another"),
        judge(review=_review()),
        judge(attribution=""),
        judge("openai/gpt-oss-20b"),
    ]
    assert len({decision.fingerprint for decision in [judge(), *changed]}) == 7
    assert all(len(decision.fingerprint) == 64 for decision in changed)


def test_the_same_bytes_in_every_process() -> None:
    program = (
        "import json; from datetime import date; from agentkit.licensing import *;"
        "p = Principal('A', PrincipalKind.COMPANY, 'DE', affiliates=('US', 'SE', 'FR'));"
        "d = Deployment(p, Role.DEPLOYER, declared_uses=tuple(DeclaredUse));"
        f"m = ModelIdentity({SCOUT!r});"
        "print(json.dumps(decide(m, d, today=date(2026, 11, 22)).to_json()))"
    )
    outputs = {
        subprocess.run(  # our own interpreter and program
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(outputs) == 1


def test_an_old_table_says_so_and_decides_all_the_same(
    judge: Callable[..., LicenceDecision], found: Callable[..., Finding]
) -> None:
    later = judge(today=TABLE_DATE + timedelta(days=400))
    assert later.allowed
    assert "400 days ago" in found(later, "table.age").reason
    assert found(later, "table.age").outcome is Outcome.RECORD
