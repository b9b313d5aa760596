"""What holds for every model and every deployment."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.licensing import (
    KNOWN_MODELS,
    LICENCES,
    Access,
    DeclaredUse,
    Deployment,
    Distribution,
    Modality,
    ModelIdentity,
    Outcome,
    Principal,
    PrincipalKind,
    Review,
    Role,
    TrainedModel,
    decide,
)
from agentkit.licensing.countries import EU_MEMBER_STATES, EU_TERRITORIES

TODAY = date(2026, 11, 22)
RANK = {Outcome.ALLOW: 0, Outcome.REVIEW: 1, Outcome.DENY: 2}
EU_CODES = sorted(EU_MEMBER_STATES | EU_TERRITORIES)
COUNTRIES = st.sampled_from(["NO", "US", "CH", "DE", "GL", "AX", None])
NOTICES = "\n".join(
    licence.llama.notice for licence in LICENCES.values() if licence.llama is not None
)
TIES = st.none() | st.lists(st.sampled_from(["US", "SE", "GL"]), max_size=2).map(tuple)
REVIEWS = st.sampled_from([None, Review("Kari", TODAY), Review("Kari", TODAY, date(2026, 11, 22))])

deployments = st.builds(
    Deployment,
    principal=st.builds(
        Principal,
        name=st.just("Fjordbank"),
        kind=st.sampled_from(PrincipalKind),
        country=COUNTRIES,
        affiliates=TIES,
        staff_countries=TIES,
    ),
    role=st.sampled_from(Role),
    access=st.none() | st.sampled_from(Access),
    distribution=st.none() | st.sampled_from(Distribution),
    monthly_active_users=st.sampled_from([None, 0, 700_000_000, 700_000_001]),
    attribution=st.sampled_from([None, "", "Built with Llama", "Built with Meta Llama 3"]),
    notice=st.sampled_from([None, "", NOTICES]),
    ships_licence=st.sampled_from([None, True, False]),
    integrated_product=st.sampled_from([None, True, False]),
    end_user_evidence=st.sampled_from([None, "Notes 4 by Nordsoft AS"]),
    trained_models=st.none()
    | st.lists(
        st.builds(
            TrainedModel,
            st.sampled_from(["Llama 3 Fjord", "Fjord"]),
            st.sampled_from([None, True, False]),
            st.sampled_from([None, True, False]),
        ),
        max_size=2,
    ).map(tuple),
    declared_uses=st.lists(st.sampled_from(DeclaredUse), max_size=2).map(tuple),
    languages=st.sampled_from([(), ("en",), ("en", "nb")]),
    language_evaluations=st.sampled_from([(), ("nb",)]),
    images_per_prompt=st.sampled_from([None, 0, 5, 6]),
    grants=st.sampled_from([(), ("llama4:META-1",)]),
    uses_marks=st.sampled_from([None, True, False]),
    ip_suit=st.sampled_from([None, True, False]),
    terminated=st.sampled_from([None, True, False]),
    review=REVIEWS,
)
known = st.sampled_from(sorted(KNOWN_MODELS)).map(ModelIdentity)
identities = known | st.builds(
    ModelIdentity,
    st.sampled_from(["/models/x", "openai/gpt-oss-20b", "/m/Llama-4-Scout-17B-16E"]),
    licence=st.sampled_from([None, "mit", "llama4", "llama3.2", "other"]),
    base_model=st.sampled_from([None, "meta-llama/Llama-4-Scout-17B-16E", "acme/x"]),
    is_path=st.booleans(),
)


def _outcome(identity: ModelIdentity, deployment: Deployment) -> Outcome:
    return decide(identity, deployment, today=TODAY).outcome


WORSE = {
    "an affiliate in the Union": lambda d: replace(
        d,
        principal=replace(d.principal, affiliates=(*(d.principal.affiliates or ()), "DE")),
    ),
    "staff in the Union": lambda d: replace(
        d,
        principal=replace(
            d.principal, staff_countries=(*(d.principal.staff_countries or ()), "PL")
        ),
    ),
    "more users": lambda d: replace(d, monthly_active_users=700_000_001),
    "no licence shipped": lambda d: replace(d, ships_licence=False),
    "no attribution": lambda d: replace(d, attribution=None),
    "no notice": lambda d: replace(d, notice=None),
    "marks used": lambda d: replace(d, uses_marks=True),
    "a suit": lambda d: replace(d, ip_suit=True),
    "terminated": lambda d: replace(d, terminated=True),
    "many images": lambda d: replace(d, images_per_prompt=6),
    "no evaluation": lambda d: replace(d, language_evaluations=()),
    "no evidence": lambda d: replace(d, end_user_evidence=None),
    "no grant": lambda d: replace(d, grants=()),
    "no reviewer": lambda d: replace(d, review=None),
    "a misnamed model": lambda d: replace(
        d, trained_models=(*(d.trained_models or ()), TrainedModel("Fjord", True, False))
    ),
    **{
        f"use: {use}": lambda d, use=use: replace(d, declared_uses=(*d.declared_uses, use))
        for use in DeclaredUse
    },
}


@settings(max_examples=200, deadline=None)
@given(identities, deployments, st.sampled_from(sorted(WORSE)))
def test_a_worse_fact_never_makes_the_outcome_milder(
    identity: ModelIdentity, deployment: Deployment, change: str
) -> None:
    worse = WORSE[change](deployment)
    assert RANK[_outcome(identity, worse)] >= RANK[_outcome(identity, deployment)]


@settings(max_examples=100, deadline=None)
@given(identities, deployments, st.sampled_from(EU_CODES))
def test_moving_into_the_union_never_helps_who_builds(
    identity: ModelIdentity, deployment: Deployment, code: str
) -> None:
    if deployment.role is Role.END_USER:
        deployment = replace(deployment, role=Role.DEPLOYER)
    inside = replace(deployment, principal=replace(deployment.principal, country=code))
    assert RANK[_outcome(identity, inside)] >= RANK[_outcome(identity, deployment)]


# Not among them: what the record only calls "not stated" (see test_llama_standing.py).
VALUES = {
    "access": tuple(Access),
    "distribution": tuple(Distribution),
    "monthly_active_users": (0, 700_000_001),
    "ships_licence": (True, False),
    "images_per_prompt": (0, 6),
}


@settings(max_examples=100, deadline=None)
@given(identities, deployments, st.sampled_from(sorted(VALUES)))
def test_what_is_permitted_unknown_is_permitted_whatever_it_turns_out_to_be(
    identity: ModelIdentity, deployment: Deployment, field: str
) -> None:
    deployment = replace(deployment, review=None)
    if _outcome(identity, replace(deployment, **{field: None})) is Outcome.ALLOW:
        for value in VALUES[field]:
            assert _outcome(identity, replace(deployment, **{field: value})) is Outcome.ALLOW


@settings(max_examples=100, deadline=None)
@given(identities, deployments, st.sampled_from(["NO", "DE", "US", "AX"]))
def test_an_unknown_country_is_permitted_only_where_every_country_is(
    identity: ModelIdentity, deployment: Deployment, code: str
) -> None:
    unknown = replace(
        deployment, review=None, principal=replace(deployment.principal, country=None)
    )
    stated = replace(unknown, principal=replace(unknown.principal, country=code))
    if _outcome(identity, unknown) is Outcome.ALLOW and not unknown.principal.affiliates:
        assert _outcome(identity, stated) is Outcome.ALLOW


@settings(max_examples=100, deadline=None)
@given(identities, deployments)
def test_every_obstacle_has_a_clause_and_a_cure_and_decisions_are_deterministic(
    identity: ModelIdentity, deployment: Deployment
) -> None:
    decision = decide(identity, deployment, today=TODAY)
    assert decision == decide(identity, deployment, today=TODAY)
    assert decision.to_json() == decide(identity, deployment, today=TODAY).to_json()
    assert decision.allowed == (not decision.obstacles) == (decision.refusal() is None)
    rules = [finding.rule for finding in decision.findings]
    assert len(rules) == len(set(rules))
    for finding in decision.findings:
        assert finding.clause
        assert finding.reason
        assert finding.cure or finding.outcome in {Outcome.RECORD, Outcome.ALLOW}


MULTIMODAL_LLAMA = [
    model.model_id
    for model in KNOWN_MODELS.values()
    if model.modality is Modality.MULTIMODAL and model.licence_id in {"llama3.2", "llama4"}
]


@settings(max_examples=100, deadline=None)
@given(
    model_id=st.sampled_from(MULTIMODAL_LLAMA),
    deployment=deployments,
    code=st.sampled_from(EU_CODES),
    tuned=st.booleans(),
)
def test_who_builds_in_the_union_is_never_allowed_a_multimodal_llama(
    model_id: str, deployment: Deployment, code: str, *, tuned: bool
) -> None:
    if deployment.role is Role.END_USER:
        deployment = replace(deployment, role=Role.DEVELOPER)
    inside = replace(deployment, principal=replace(deployment.principal, country=code))
    identity = ModelIdentity("/m/x", base_model=model_id) if tuned else ModelIdentity(model_id)
    assert _outcome(identity, replace(inside, review=None)) is not Outcome.ALLOW
    if inside.access is not Access.MANAGED_API:
        assert _outcome(identity, inside) is Outcome.DENY  # whoever signs


copies = st.builds(
    ModelIdentity,
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["unsloth/", "./weights/", ""]),
        st.sampled_from([name.rsplit("/", 1)[-1] for name in MULTIMODAL_LLAMA]),
        st.sampled_from(["", "-GGUF"]),
    ),
    licence=st.sampled_from([None, *LICENCES]),
    base_model=st.sampled_from([None, *sorted(KNOWN_MODELS)]),
    is_path=st.booleans(),
)


@settings(max_examples=200, deadline=None)
@given(copies, deployments)
def test_no_statement_lets_a_copy_of_a_multimodal_llama_run_in_the_union(
    identity: ModelIdentity, deployment: Deployment
) -> None:
    inside = replace(
        deployment,
        principal=replace(deployment.principal, country="DE"),
        role=Role.DEPLOYER,
        access=Access.SELF_HOSTED,
    )
    assert _outcome(identity, inside) is Outcome.DENY  # whoever signs


@pytest.mark.parametrize("model_id", MULTIMODAL_LLAMA)
@pytest.mark.parametrize("role", [role for role in Role if role is not Role.FINE_TUNER])
def test_norway_is_allowed(model_id: str, role: Role) -> None:
    deployment = Deployment(
        Principal("Fjordbank", PrincipalKind.COMPANY, "NO", affiliates=(), staff_countries=()),
        role,
        access=Access.SELF_HOSTED,
        distribution=Distribution.INTERNAL,
        monthly_active_users=2_000_000,
        languages=("en",),
        images_per_prompt=0,
    )
    assert _outcome(ModelIdentity(model_id), deployment) is Outcome.ALLOW


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60), deployments)
def test_an_unknown_model_is_never_allowed(model_id: str, deployment: Deployment) -> None:
    if model_id.strip().casefold() not in KNOWN_MODELS:
        assert _outcome(ModelIdentity(model_id), deployment) is Outcome.DENY
