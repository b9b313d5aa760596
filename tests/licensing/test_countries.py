from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.eu import vat

from agentkit.errors import SpecError
from agentkit.licensing import Zone, domain, parse_country
from agentkit.licensing.countries import (
    COUNTRY_TABLE_DATE,
    EEA_ONLY,
    EU_MEMBER_STATES,
    EU_TERRITORIES,
    ISO_CODES,
    NOT_EU,
)


def test_member_states_are_those_of_python_stdnum() -> None:
    # stdnum writes Greece as ISO does; "xi" is Northern Ireland's VAT prefix, no member state
    assert {code.lower() for code in EU_MEMBER_STATES} == vat.MEMBER_STATES - {"xi"}
    assert len(EU_MEMBER_STATES) == 27


def test_the_table_has_every_iso_country() -> None:
    assert len(ISO_CODES) == 249
    assert EU_MEMBER_STATES | EEA_ONLY | NOT_EU | {"CH", "GB"} <= ISO_CODES
    assert not EU_MEMBER_STATES & (NOT_EU | EEA_ONLY | EU_TERRITORIES)
    assert {"IC", "EA"} == EU_TERRITORIES - ISO_CODES


@pytest.mark.parametrize("code", sorted(EU_MEMBER_STATES | EU_TERRITORIES))
def test_inside_the_union(code: str) -> None:
    assert domain(code).zone is Zone.EU


@pytest.mark.parametrize("code", sorted(NOT_EU | {"CH", "GB", "US", "RS", "TR", "UA", "AD", "MC"}))
def test_outside_the_union(code: str) -> None:
    assert domain(code).zone is Zone.OTHER


@pytest.mark.parametrize("code", ["NO", "IS", "LI"])
def test_in_the_economic_area_and_not_in_the_union(code: str) -> None:
    assert domain(code).zone is Zone.EEA


def test_no_country_is_unknown_and_carries_the_tables_date() -> None:
    assert domain(None).zone is Zone.UNKNOWN
    assert domain(None).table_date == COUNTRY_TABLE_DATE


@pytest.mark.parametrize(
    ("stated", "code"), [("EL", "GR"), ("UK", "GB"), ("no", "NO"), (" de ", "DE"), ("el", "GR")]
)
def test_aliases_and_spelling(stated: str, code: str) -> None:
    assert parse_country(stated) == code


@pytest.mark.parametrize(
    ("stated", "meant"),
    [
        ("Norge", "NO"),
        ("Noreg", "NO"),
        ("Norway", "NO"),
        ("NORWAY ", "NO"),
        ("Norwya", "NO"),
        ("NN", "NO"),
        ("NOR", "NO"),
        ("Deutschland", "DE"),
        ("Kingdom of Sweden", "SE"),
        ("XI", "GB"),
        ("EU", "member state"),
        ("XX", "ISO 3166-1"),
        ("ZZ", "ISO 3166-1"),
        ("", "ISO 3166-1"),
    ],
)
def test_names_and_typos_are_errors_with_a_suggestion(stated: str, meant: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_country(stated)
    assert meant in caught.value.cure


@given(st.text(max_size=12) | st.from_regex(r"\s?[A-Za-z]{2}", fullmatch=True))
def test_whatever_is_stated_is_a_code_of_the_table_or_a_clear_error(text: str) -> None:
    stated = text.strip().upper()
    if stated in ISO_CODES | EU_TERRITORIES | {"EL", "UK"}:
        assert parse_country(parse_country(text)) == parse_country(text)
    else:
        with pytest.raises(SpecError, match="is no country code"):
            parse_country(text)
