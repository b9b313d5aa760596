"""Every row of the Llama tables, one case a row, named by its clause."""

from __future__ import annotations

from typing import Any

import pytest

from agentkit.licensing import LICENCES, DeclaredUse, Outcome, TrainedModel

SCOUT = "meta-llama/Llama-4-Scout-17B-16E-Instruct"
PROMPT_GUARD = "meta-llama/Llama-Prompt-Guard-2-86M"
LLAMA_31 = "meta-llama/Llama-3.1-8B-Instruct"
LLAMA_33 = "meta-llama/Llama-3.3-70B-Instruct"
LLAMA_32_VISION = "meta-llama/Llama-3.2-11B-Vision-Instruct"
LLAMA_3 = "meta-llama/Meta-Llama-3-8B-Instruct"
LLAMA_2 = "meta-llama/Llama-2-7b-chat-hf"
NOTICE = (
    "Llama 4 is licensed under the Llama 4 Community License, "
    "Copyright © Meta Platforms, Inc. All Rights Reserved."
)
SHIPPED = {"ships_licence": True, "attribution": "Built with Llama", "notice": NOTICE}
PRODUCT = {"distribution": "product", **SHIPPED}
HOSTED = {"distribution": "hosted_api", "access": "managed_api", **SHIPPED}


def _row(
    clause: str,
    rule: str,
    outcome: str,
    *,
    model: str = SCOUT,
    country: str | None = "NO",
    **facts: Any,
) -> Any:
    return pytest.param(rule, outcome, model, country, facts, id=clause)


COUNTERPARTY = [
    *(
        _row(f"preamble: {code}", "llama.counterparty", "record", country=code)
        for code in ("NO", "DE", "CH", "GB", "US", None)
    )
]

RELEASE = [
    _row("1.b.i(A) internal", "llama.copy_of_agreement", "record"),
    _row("1.b.i(A) shipped", "llama.copy_of_agreement", "allow", **PRODUCT),
    _row(
        "1.b.i(A) missing", "llama.copy_of_agreement", "deny", **{**PRODUCT, "ships_licence": False}
    ),
    _row(
        "1.b.i(A) unknown",
        "llama.copy_of_agreement",
        "review",
        **{**PRODUCT, "ships_licence": None},
    ),
    _row("1.b.i(A) distribution unknown", "llama.copy_of_agreement", "review", distribution=None),
    _row("1.b.i(A) managed API", "llama.copy_of_agreement", "record", **HOSTED),
    _row(
        "1.b.i(A) own API for others",
        "llama.copy_of_agreement",
        "deny",
        **{**HOSTED, "access": "self_hosted", "ships_licence": False},
    ),
    _row("1.b.i(B) internal", "llama.attribution", "record"),
    _row("1.b.i(B) shown", "llama.attribution", "allow", **PRODUCT),
    _row("1.b.i(B) missing", "llama.attribution", "deny", **{**PRODUCT, "attribution": None}),
    _row(
        "1.b.i(B) wrong text",
        "llama.attribution",
        "deny",
        **{**PRODUCT, "attribution": "Uses Llama"},
    ),
    _row("1.b.i(B) hosted API", "llama.attribution", "review", **{**HOSTED, "attribution": None}),
    _row("1.b.i(B) hosted API, shown", "llama.attribution", "allow", **HOSTED),
    _row(
        "1.b.i(B) own API for others",
        "llama.attribution",
        "deny",
        **{**HOSTED, "access": "self_hosted", "attribution": None},
    ),
    _row("1.b.i(B) distribution unknown", "llama.attribution", "review", distribution=None),
    _row("1.b.iii internal", "llama.notice_file", "record"),
    _row("1.b.iii exact", "llama.notice_file", "allow", **PRODUCT),
    _row(
        "1.b.iii among others",
        "llama.notice_file",
        "allow",
        **{**PRODUCT, "notice": f"A\n{NOTICE}\nB"},
    ),
    _row("1.b.iii missing", "llama.notice_file", "deny", **{**PRODUCT, "notice": None}),
    _row(
        "1.b.iii inexact",
        "llama.notice_file",
        "deny",
        **{**PRODUCT, "notice": NOTICE.replace("©", "(c)")},
    ),
    _row("1.b.iii distribution unknown", "llama.notice_file", "review", distribution=None),
]

NAMES = [
    _row("1.b.i name: no model", "llama.name_prefix", "record"),
    _row(
        "1.b.i name: right",
        "llama.name_prefix",
        "allow",
        trained_models=(TrainedModel("fjordbank/Llama-Fjord", distributed=True),),
    ),
    _row(
        "1.b.i name: wrong",
        "llama.name_prefix",
        "deny",
        trained_models=(TrainedModel("fjordbank/Fjord-Llama", distributed=True),),
    ),
    _row(
        "1.b.i name: wrong, internal",
        "llama.name_prefix",
        "allow",
        trained_models=(TrainedModel("Fjord", distributed=False),),
    ),
    _row(
        "1.b.i name: wrong, unknown",
        "llama.name_prefix",
        "review",
        trained_models=(TrainedModel("Fjord"),),
    ),
    _row(
        "1.b.i name: fine-tuner without a model", "llama.name_prefix", "review", role="fine_tuner"
    ),
    _row(
        "1.b.i name: Llama 3 in front",
        "llama.name_prefix",
        "deny",
        model=LLAMA_3,
        trained_models=(TrainedModel("Llama-Fjord", distributed=True, derives_from_llama=True),),
    ),
    _row(
        "1.b.v Llama 2",
        "llama.improving_other_models",
        "deny",
        model=LLAMA_2,
        trained_models=(TrainedModel("Fjord", derives_from_llama=False),),
    ),
    _row(
        "1.b.v Llama 3",
        "llama.improving_other_models",
        "deny",
        model=LLAMA_3,
        trained_models=(TrainedModel("Fjord", derives_from_llama=False),),
    ),
    _row(
        "1.b.v Llama 3, unknown",
        "llama.improving_other_models",
        "review",
        model=LLAMA_3,
        trained_models=(TrainedModel("Llama 3 Fjord"),),
    ),
    _row(
        "1.b.v Llama 3, derivative",
        "llama.improving_other_models",
        "record",
        model=LLAMA_3,
        trained_models=(TrainedModel("Llama 3 Fjord", derives_from_llama=True),),
    ),
    *(
        _row(
            f"1.b.v absent: {model}",
            "llama.improving_other_models",
            "record",
            model=model,
            trained_models=(TrainedModel("Fjord", derives_from_llama=False),),
        )
        for model in (LLAMA_31, LLAMA_33, SCOUT)
    ),
]

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
    _row("5.a unknown", "llama.trademark", "review", uses_marks=None),
    _row("5.c none", "llama.ip_suit", "record"),
    _row("5.c sued", "llama.ip_suit", "deny", ip_suit=True),
    _row("5.c unknown", "llama.ip_suit", "review", ip_suit=None),
    _row("6 none", "llama.termination", "record"),
    _row("6 ended", "llama.termination", "deny", terminated=True),
    _row("6 unknown", "llama.termination", "review", terminated=None),
    _row("7", "llama.governing_law", "record"),
]

EVIDENCE = {"role": "end_user", "access": None, "end_user_evidence": "Notes 4 by Nordsoft AS"}
EU = "llama.eu_multimodal"
DOMICILE = [
    *(
        _row(f"EU: company, {role}", EU, "deny", country="DE", role=role)
        for role in ("developer", "deployer", "distributor", "fine_tuner")
    ),
    *(
        _row(f"EU: individual, {role}", EU, "deny", country="SE", role=role, kind="individual")
        for role in ("developer", "deployer", "distributor", "fine_tuner")
    ),
    _row("EU: territory with its own code", EU, "deny", country="AX"),
    _row("EU: Greece as EL", EU, "deny", country="EL"),
    _row("EU: access unknown", EU, "deny", country="FR", access=None),
    _row("EU: end user with evidence", EU, "allow", country="DE", **EVIDENCE),
    _row("EU: end user without evidence", EU, "review", country="DE", role="end_user", access=None),
    _row(
        "EU: end user with blank evidence",
        EU,
        "review",
        country="DE",
        **{**EVIDENCE, "end_user_evidence": " "},
    ),
    _row(
        "EU: end user who hosts", EU, "deny", country="DE", **{**EVIDENCE, "access": "self_hosted"}
    ),
    _row(
        "EU: end user who passes it on",
        EU,
        "deny",
        country="DE",
        distribution="product",
        **EVIDENCE,
    ),
    _row(
        "EU: end user, distribution unknown",
        EU,
        "review",
        country="DE",
        distribution=None,
        **EVIDENCE,
    ),
    _row("EU: managed API", EU, "review", country="DE", access="managed_api"),
    _row(
        "EU: managed API, developer",
        EU,
        "review",
        country="DE",
        access="managed_api",
        role="developer",
    ),
    _row(
        "EU: managed API, fine-tuner",
        EU,
        "deny",
        country="DE",
        access="managed_api",
        role="fine_tuner",
    ),
    _row("EU ties: affiliate", EU, "review", affiliates=("DE", "US")),
    _row("EU ties: staff", EU, "review", staff_countries=("PL",)),
    _row("EU ties: territory", EU, "review", affiliates=("RE",)),
    _row("EU ties: affiliates unknown", EU, "review", affiliates=None),
    _row("EU ties: staff unknown", EU, "review", staff_countries=None),
    _row("EU ties: none inside", EU, "allow", affiliates=("US", "GL"), staff_countries=("GB",)),
    _row("country unknown", EU, "review", country=None),
    *(
        _row(f"outside: {code}", EU, "allow", country=code)
        for code in ("NO", "IS", "LI", "CH", "GB", "US", "GL", "SJ")
    ),
    _row("text-only: Prompt Guard 2", EU, "record", country="DE", model=PROMPT_GUARD),
    _row("text-only: Llama 3.3", EU, "record", country="DE", model=LLAMA_33),
    _row("absent in Llama 3.1", EU, "record", country="DE", model=LLAMA_31),
    _row("absent in Llama 3", EU, "record", country="DE", model=LLAMA_3),
    _row("absent in Llama 2", EU, "record", country="DE", model=LLAMA_2),
    _row("present in Llama 3.2", EU, "deny", country="DE", model=LLAMA_32_VISION),
    _row("Llama Guard 4", EU, "deny", country="DE", model="meta-llama/Llama-Guard-4-12B"),
    _row(
        "Llama Guard 3 11B vision",
        EU,
        "deny",
        country="DE",
        model="meta-llama/Llama-Guard-3-11B-Vision",
    ),
    _row("Llama Guard 3 1B", EU, "record", country="DE", model="meta-llama/Llama-Guard-3-1B"),
    _row("Llama Guard 3 8B", EU, "record", country="DE", model="meta-llama/Llama-Guard-3-8B"),
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


@pytest.mark.parametrize(
    ("rule", "outcome", "model", "country", "facts"),
    [*COUNTERPARTY, *RELEASE, *NAMES, *STANDING, *DOMICILE, *CARD],
)
def test_row(
    judge: Any, found: Any, rule: str, outcome: str, model: str, country: str, facts: dict[str, Any]
) -> None:
    decision = judge(model, country, **facts)
    finding = found(decision, rule)
    assert finding.outcome == outcome
    assert finding.clause
    if finding.outcome in {Outcome.REVIEW, Outcome.DENY}:
        assert finding.cure
        assert finding in decision.obstacles
        assert not decision.allowed


@pytest.mark.parametrize(
    ("country", "party"),
    [
        ("NO", "Meta Platforms Ireland Limited"),
        ("DE", "Meta Platforms Ireland Limited"),
        ("CH", "Meta Platforms Ireland Limited"),
        ("GB", "Meta Platforms, Inc."),
        ("US", "Meta Platforms, Inc."),
    ],
)
def test_counterparty(judge: Any, found: Any, country: str, party: str) -> None:
    reason = found(judge(country=country), "llama.counterparty").reason
    assert reason == f"use is acceptance; the counterparty is {party}"


def test_the_notice_is_the_exact_sentence_of_the_licence() -> None:
    llama = LICENCES["llama4"].llama
    assert llama is not None
    assert llama.notice == NOTICE
    assert LICENCES["llama3"].llama.notice == (  # type: ignore[union-attr]  # it has Llama terms
        "Meta Llama 3 is licensed under the Meta Llama 3 Community License, "
        "Copyright © Meta Platforms, Inc. All Rights Reserved."
    )


def test_the_users_are_those_of_the_month_before_the_release(judge: Any, found: Any) -> None:
    assert "2025-03" in found(judge(), "llama.monthly_active_users").reason
    assert "2024-08" in found(judge(LLAMA_32_VISION), "llama.monthly_active_users").reason


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
    judge: Any, found: Any, use: str, clause: str, outcome: str
) -> None:
    decision = judge(declared_uses=(use,))
    finding = found(decision, f"llama.aup.{use}")
    assert (finding.outcome, finding.clause) == (
        outcome,
        f"Llama 4 Acceptable Use Policy, {clause}",
    )
    assert decision.outcome == outcome


def test_every_declared_use_is_judged_by_llama_4(judge: Any) -> None:
    for use in DeclaredUse:
        assert not judge(declared_uses=(use,)).allowed


def test_a_policy_without_the_clause_says_so(judge: Any, found: Any) -> None:
    # Llama 3.1's policy has no clause on circumventing safety measures, 3.2's and later have.
    uses = {"declared_uses": ("circumvent_safeguards",)}
    assert found(judge(LLAMA_31, **uses), "llama.aup.circumvent_safeguards").outcome == "record"
    assert found(judge(LLAMA_33, **uses), "llama.aup.circumvent_safeguards").outcome == "deny"


def test_notices_required_of_a_product(judge: Any) -> None:
    assert judge().required_notices == ()
    assert judge(**PRODUCT).required_notices == ("Built with Llama", NOTICE)
    assert judge(**HOSTED).required_notices == ("Built with Llama",)
    assert judge(LLAMA_3, **PRODUCT).required_notices[0] == "Built with Meta Llama 3"
    assert judge("openai/gpt-oss-20b", **PRODUCT).required_notices == ()
