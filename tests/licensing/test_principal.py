from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.no import orgnr

from agentkit.errors import SpecError
from agentkit.licensing import Deployment, Distribution, Principal, PrincipalKind, Review, Role


def _norwegian(number: str) -> Principal:
    return Principal("Fjordbank", PrincipalKind.COMPANY, "NO", organisation_number=number)


def _deployment(**facts: object) -> Deployment:
    return Deployment(Principal("Fjordbank", PrincipalKind.COMPANY, "NO"), **facts)


def test_plain_strings_become_members_and_codes_are_normalised() -> None:
    principal = Principal("A", "company", "el", affiliates=("uk", "DE", "UK"))
    assert principal.kind is PrincipalKind.COMPANY
    assert (principal.country, principal.affiliates) == ("GR", ("DE", "GB"))
    deployment = _deployment(role="deployer", distribution="product", languages=("nb-NO", "EN"))
    assert (deployment.role, deployment.distribution) == (Role.DEPLOYER, Distribution.PRODUCT)
    assert deployment.languages == ("en", "nb")


@pytest.mark.parametrize(
    ("facts", "cure"),
    [
        ({"role": "deploier"}, "did you mean deployer?"),
        ({"role": "deployer", "distribution": "public"}, "internal, product, hosted_api"),
        ({"role": "deployer", "access": "api"}, "managed_api"),
        ({"role": "deployer", "declared_uses": ("militry",)}, "did you mean military?"),
        ({"role": "deployer", "languages": ("Norwegian",)}, "nb"),
        ({"role": "deployer", "monthly_active_users": -1}, "0 or more"),
        ({"role": "deployer", "images_per_prompt": -3}, "0 or more"),
        ({"role": "deployer", "grants": ("yes",)}, "llama4:"),
        ({"role": "deployer", "grants": ("llama4: ",)}, "llama4:"),
    ],
)
def test_wrong_facts_are_errors_with_a_cure(facts: dict[str, object], cure: str) -> None:
    with pytest.raises(SpecError) as caught:
        _deployment(**facts)
    assert cure in caught.value.cure


def test_a_principal_has_a_name_and_real_countries() -> None:
    with pytest.raises(SpecError, match="no name"):
        Principal(" ", PrincipalKind.COMPANY, "NO")
    with pytest.raises(SpecError, match="'Norge' is no country code"):
        Principal("A", PrincipalKind.COMPANY, "NO", affiliates=("Norge",))


def test_a_review_names_a_person_and_has_ordered_dates() -> None:
    with pytest.raises(SpecError, match="no reviewer"):
        Review("", date(2026, 1, 1))
    with pytest.raises(SpecError, match="before it was signed"):
        Review("Kari Nordmann", date(2026, 1, 2), expires=date(2026, 1, 1))


def test_a_norwegian_organisation_number_is_checked_and_normalised() -> None:
    assert _norwegian("988 077 917").organisation_number == "988077917"
    foreign = Principal("A", PrincipalKind.COMPANY, "SE", organisation_number="556036-0793")
    assert foreign.organisation_number == "556036-0793"


@given(st.from_regex(r"[0-9]{8,10}", fullmatch=True))
def test_organisation_numbers_are_those_python_stdnum_accepts(number: str) -> None:
    try:
        accepted = _norwegian(number).organisation_number == number
    except SpecError:
        accepted = False
    assert accepted == orgnr.is_valid(number)
