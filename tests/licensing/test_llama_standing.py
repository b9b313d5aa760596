"""Every row on the licensee, the card and the policy: sections 1.b.ii, 1.b.iv, 2, 5, 6, 7."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentkit.licensing import DeclaredUse

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkit.licensing import Finding, LicenceDecision

LLAMA_31 = "meta-llama/Llama-3.1-8B-Instruct"
LLAMA_33 = "meta-llama/Llama-3.3-70B-Instruct"
LLAMA_32_VISION = "meta-llama/Llama-3.2-11B-Vision-Instruct"


def _row(clause: str, rule: str, outcome: str, **facts: object) -> tuple[object, ...]:
    return pytest.param(rule, outcome, facts, id=clause)


STANDING = [
    _row("1.b.ii inside a product", "llama.integrated_product", "allow", integrated_product=True),
    _row("1.b.ii not", "llama.integrated_product", "record"),
    _row(
        "1.b.ii frees of 2",
        "llama.monthly_active_users",
        "record",
        integrated_product=True,
        monthly_active_users=10**9,
    ),
    _row("1.b.iv", "llama.law_and_policy", "record"),
    _row("2 at the limit", "llama.monthly_active_users", "allow", monthly_active_users=700_000_000),
    _row("2 above", "llama.monthly_active_users", "deny", monthly_active_users=700_000_001),
    _row("2 unknown", "llama.monthly_active_users", "review", monthly_active_users=None),
    _row(
        "2 granted",
        "llama.monthly_active_users",
        "allow",
        monthly_active_users=10**9,
        grants=("llama4:META-2026-0042",),
    ),
    _row(
        "2 granted for another version",
        "llama.monthly_active_users",
        "deny",
        monthly_active_users=10**9,
        grants=("llama3.2:META-2024-0007",),
    ),
    _row("5.a none", "llama.trademark", "record"),
    _row("5.a used", "llama.trademark", "review", uses_marks=True),
    _row("5.a unknown, internal", "llama.trademark", "record", uses_marks=None),
    *(
        _row(
            f"5.a unknown, {others}",
            "llama.trademark",
            "review",
            uses_marks=None,
            distribution=others,
        )
        for others in ("product", "hosted_api", None)
    ),
    _row("5.c none", "llama.ip_suit", "record"),
    _row("5.c sued", "llama.ip_suit", "deny", ip_suit=True),
    _row("5.c unknown", "llama.ip_suit", "record", ip_suit=None),
    _row("6 none", "llama.termination", "record"),
    _row("6 ended", "llama.termination", "deny", terminated=True),
    _row("6 unknown", "llama.termination", "record", terminated=None),
    _row("7", "llama.governing_law", "record"),
]

LANGUAGES = "llama.languages"
CARD = [
    *(
        _row(f"language {code}", LANGUAGES, "allow", languages=(code,))
        for code in [
            "ar",
            "en",
            "fr",
            "de",
            "hi",
            "id",
            "it",
            "pt",
            "es",
            "tl",
            "fil",
            "th",
            "vi",
            "en-GB",
        ]
    ),
    *(
        _row(f"language {code}", LANGUAGES, "review", languages=("en", code))
        for code in ("nb", "nn", "no", "nb-NO", "se", "sv")
    ),
    _row(
        "language evaluated",
        LANGUAGES,
        "allow",
        languages=("en", "nb"),
        language_evaluations=("nb",),
    ),
    _row(
        "language evaluated in part",
        LANGUAGES,
        "review",
        languages=("nb", "nn"),
        language_evaluations=("nb",),
    ),
    _row("languages unknown", LANGUAGES, "review", languages=()),
    _row("Thai in Llama 3.1", LANGUAGES, "allow", model=LLAMA_31, languages=("th",)),
    _row("Arabic in Llama 3.1", LANGUAGES, "review", model=LLAMA_31, languages=("ar",)),
    _row("five images", "llama.images", "allow", images_per_prompt=5),
    _row("six images", "llama.images", "review", images_per_prompt=6),
    _row("images unknown", "llama.images", "review", images_per_prompt=None),
]


@pytest.mark.parametrize(("rule", "outcome", "facts"), [*STANDING, *CARD])
def test_row(holds: Callable[..., None], rule: str, outcome: str, facts: dict[str, object]) -> None:
    holds(rule, outcome, facts)


def test_the_users_are_those_of_the_month_before_the_release(
    judge: Callable[..., LicenceDecision], found: Callable[..., Finding]
) -> None:
    assert "2025-03" in found(judge(), "llama.monthly_active_users").reason
    assert "2024-08" in found(judge(LLAMA_32_VISION), "llama.monthly_active_users").reason


@pytest.mark.parametrize(
    ("field", "rule"),
    [
        ("integrated_product", "llama.integrated_product"),
        ("trained_models", "llama.name_prefix"),
        ("uses_marks", "llama.trademark"),
        ("ip_suit", "llama.ip_suit"),
        ("terminated", "llama.termination"),
    ],
)
def test_what_nobody_stated_is_recorded_as_not_stated(
    judge: Callable[..., LicenceDecision], found: Callable[..., Finding], field: str, rule: str
) -> None:
    finding = found(judge(**{field: None}), rule)
    assert finding.outcome == "record"
    assert "not stated" in finding.reason


@pytest.mark.parametrize(
    ("use", "clause", "outcome"),
    [
        ("unlicensed_practice", "1.4", "deny"),
        ("professional_advice", "1.4", "review"),
        ("sensitive_personal_data", "1.5", "review"),
        ("sensitive_personal_data_without_right", "1.5", "deny"),
        ("circumvent_safeguards", "1.8", "deny"),
        ("safeguard_testing", "1.8", "review"),
        ("military", "3.1", "deny"),
        ("operate_critical_infrastructure", "3.4", "deny"),
        ("operate_transport", "3.4", "deny"),
        ("operate_heavy_machinery", "3.4", "deny"),
        ("critical_infrastructure_support", "3.4", "review"),
        ("pose_as_human", "4.5", "deny"),
        ("undisclosed_dangers", "5", "deny"),
    ],
)
def test_acceptable_use_policy_of_llama_4(
    judge: Callable[..., LicenceDecision],
    found: Callable[..., Finding],
    use: str,
    clause: str,
    outcome: str,
) -> None:
    decision = judge(declared_uses=(use,))
    finding = found(decision, f"llama.aup.{use}")
    assert (finding.outcome, finding.clause) == (
        outcome,
        f"Llama 4 Acceptable Use Policy, {clause}",
    )
    assert decision.outcome == outcome


def test_every_declared_use_is_judged_by_llama_4(judge: Callable[..., LicenceDecision]) -> None:
    for use in DeclaredUse:
        assert not judge(declared_uses=(use,)).allowed


def test_a_policy_without_the_clause_says_so(
    judge: Callable[..., LicenceDecision], found: Callable[..., Finding]
) -> None:
    # Llama 3.1's policy has no clause on circumventing safety measures, 3.2's and later have.
    uses = {"declared_uses": ("circumvent_safeguards",)}
    assert found(judge(LLAMA_31, **uses), "llama.aup.circumvent_safeguards").outcome == "record"
    assert found(judge(LLAMA_33, **uses), "llama.aup.circumvent_safeguards").outcome == "deny"
