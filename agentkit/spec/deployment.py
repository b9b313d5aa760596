"""The ``deployment`` section: the facts that licences ask about.

These are the operator's statements. What is left out is unknown, and where a licence has a rule on
it, startup asks for a review, refuses, or records that it is not stated; nothing is inferred.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import core_schema

from agentkit.errors import SpecError
from agentkit.licensing.countries import parse_country
from agentkit.licensing.principal import norwegian_number
from agentkit.spec.problems import quoted
from agentkit.spec.section import Fault, Line, Matches, Section, distinct, faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

__all__ = ["DeploymentSpec", "PrincipalSpec", "ReviewSpec", "TrainedModelSpec"]

# Only to suggest a code; what a country means for a licence stands in agentkit.licensing.
_COUNTRY_NAMES = MappingProxyType(
    {
        name: code
        for code, names in {
            "NO": "norge noreg norway nor no norga",
            "SE": "sverige sweden swe",
            "DK": "danmark denmark dnk",
            "FI": "suomi finland fin",
            "IS": "island iceland ísland isl",
            "DE": "tyskland deutschland germany deu",
            "FR": "frankrike france fra",
            "NL": "nederland netherlands nld",
            "GB": "storbritannia england gbr britain",
            "IE": "irland ireland irl",
            "ES": "spania españa spain esp",
            "IT": "italia italy ita",
            "PL": "polen polska poland pol",
            "CH": "sveits schweiz suisse switzerland che",
            "AT": "østerrike österreich austria aut",
            "US": "usa america",
            "CA": "canada can",
        }.items()
        for name in names.split()
    }
)


@dataclass(frozen=True, slots=True)
class _CountryCode:
    """The shape of a country code; a name or a lower-case code is answered with the code."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(_check_country)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "pattern": "^[A-Z]{2}$", "examples": ["NO"]}


def _check_country(value: object) -> str:
    if value is False:
        # what YAML 1.1 tools make of an unquoted NO, and write back as false
        raise faults(Fault("must be a country code, found false", 'write "NO" for Norway'))
    if not isinstance(value, str):
        raise faults(Fault("must be a country code of two capital letters", 'such as "NO"'))
    if re.fullmatch(r"[A-Z]{2}", value):
        return _known_country(value)
    known = _COUNTRY_NAMES.get(value.strip().casefold())
    if known is None and re.fullmatch(r"[A-Za-z]{2}", value):
        known = value.upper()
    fix = f'write "{known}"' if known else 'write its ISO 3166-1 code, such as "NO" or "SE"'
    raise faults(
        Fault(f"must be a country code of two capital letters, found the text {quoted(value)}", fix)
    )


def _known_country(code: str) -> str:
    try:
        parse_country(code)
    except SpecError:
        fix = 'write its ISO 3166-1 code, such as "NO" or "SE"'
        raise faults(Fault(f"must be the code of a country, found {quoted(code)}", fix)) from None
    return code


Country = Annotated[str, _CountryCode()]
"""ISO 3166-1 alpha-2, two capital letters; UK and EL are read as GB and GR by licensing."""

Countries = Annotated[
    tuple[Country, ...], Field(strict=False, max_length=250), AfterValidator(distinct)
]

Language = Annotated[
    str,
    Matches(
        r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?(-[a-z0-9]{5,8})*",
        "a language tag of BCP 47",
        "write such as en, nb, nn-NO or sr-Latn-RS",
        "nb",
    ),
]

Grant = Annotated[
    str,
    Matches(
        r"(?=[^:]*[^\s:])(?=[^:]*:.*\S)[^\x00-\x1f\x7f]{1,200}",
        "a grant, licence:reference",
        "write the licence's id, a colon and the licensor's reference: llama4:META-2026-0042",
        "llama4:META-2026-0042",
    ),
]

Use = Literal[
    "professional_advice",
    "unlicensed_practice",
    "sensitive_personal_data",
    "sensitive_personal_data_without_right",
    "safeguard_testing",
    "circumvent_safeguards",
    "military",
    "critical_infrastructure_support",
    "operate_critical_infrastructure",
    "operate_transport",
    "operate_heavy_machinery",
    "pose_as_human",
    "undisclosed_dangers",
]


_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")  # ISO weeks, such as 2026-W40-1, are no days here


def _day(value: object) -> date | None:
    """Return the date that ``value`` is or spells, None where it is none."""
    if isinstance(value, date):
        return value
    if not isinstance(value, str) or _DAY.fullmatch(value) is None:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:  # 2026-02-30
        return None


def _read_date(value: object) -> date:
    if (found := _day(value)) is not None:
        return found
    shown = quoted(value) if isinstance(value, str) else "something else"
    raise faults(Fault(f"must be a date, found {shown}", "write it as year-month-day: 2026-10-01"))


Day = Annotated[
    date,
    BeforeValidator(_read_date),
    Field(json_schema_extra={"pattern": f"^{_DAY.pattern}$"}),
]


class PrincipalSpec(Section):
    """The company or person that enters into the model's licence."""

    name: Line = Field(description="Registered name.", examples=["Fjordtall AS"])
    kind: Literal["company", "individual"] = Field(description="Company, or natural person.")
    country: Country = Field(
        description="Where a company has its principal place of business, or a person is"
        ' domiciled: ISO 3166-1, two capital letters, such as "NO".'
    )
    affiliates: Countries | None = Field(
        default=None,
        description="Countries of parent, affiliates and branches; [] says there are none.",
        examples=[["SE", "DK"]],
    )
    staff_countries: Countries | None = Field(
        default=None,
        description="Other countries where staff live who work with the model; [] says none.",
    )
    organisation_number: Line | None = Field(
        default=None, description="Number in the register of companies.", examples=["923609016"]
    )

    @classmethod
    def cross_check(cls, given: Mapping[str, object]) -> Iterator[Fault]:
        """Refuse a Norwegian number whose check digit is wrong; others' rules are not known."""
        number = given.get("organisation_number")
        if given.get("country") != "NO" or not isinstance(number, str):
            return
        try:
            norwegian_number(number)
        except SpecError as error:
            yield Fault(
                f"{quoted(number)} is no Norwegian organisation number",
                error.cure,
                ("organisation_number",),
            )


class ReviewSpec(Section):
    """A named person's signature under the `review` findings; it never lifts a `deny`."""

    reviewer: Line = Field(
        description="Who signed, with their office.", examples=["K. Nordmann, CISO"]
    )
    signed: Day = Field(description="The day it was signed.", examples=["2026-10-01"])
    expires: Day | None = Field(
        default=None, description="The last day it holds; left out for no end."
    )
    covers: Annotated[tuple[Line, ...], Field(strict=False, min_length=1)] | None = Field(
        default=None, description="Ids of the licence rules it covers; left out for all."
    )

    @classmethod
    def cross_check(cls, given: Mapping[str, object]) -> Iterator[Fault]:
        """Refuse an end before the beginning."""
        signed, expires = (_day(given.get(key)) for key in ("signed", "expires"))
        if signed is not None and expires is not None and expires < signed:
            yield Fault("lies before the day it was signed", "check the two dates", ("expires",))


class TrainedModelSpec(Section):
    """A model created, trained or improved with this one or its outputs."""

    name: Line = Field(description="Its name.", examples=["fjordtall/Llama-Fjord"])
    distributed: bool | None = Field(
        default=None, description="Whether it is made available to others."
    )
    derives_from_llama: bool | None = Field(
        default=None,
        description="Whether it is a derivative work of the same Llama version; Llama 2 and 3"
        " permit improving no others.",
    )


class DeploymentSpec(Section):
    """Who runs the agent, for whom, and for what. What is left out is unknown."""

    principal: PrincipalSpec = Field(description="Who enters into the model's licence.")
    role: Literal["developer", "deployer", "distributor", "fine_tuner", "end_user"] = Field(
        default="deployer", description="What the principal does with the model."
    )
    distribution: Literal["internal", "product", "hosted_api"] | None = Field(
        default=None,
        description="Who gets it: only your own people (internal), others as part of a product or"
        " service that contains the model (product), or others through a product that calls a"
        " supplier's API (hosted_api).",
    )
    monthly_active_users: Annotated[int, Field(ge=0, le=10**10)] | None = Field(
        default=None,
        description="Of the principal and its affiliates, in the calendar month before the"
        " model's release (Llama 4: March 2025).",
    )
    attribution: Line | None = Field(
        default=None, description="The text that users are shown.", examples=["Built with Llama"]
    )
    notice: Annotated[str, Field(max_length=100_000)] | None = Field(
        default=None,
        description="The text of the Notice file that is shipped with copies of the model.",
    )
    ships_licence: bool | None = Field(
        default=None, description="Whether copies of the model are accompanied by its licence."
    )
    integrated_product: bool | None = Field(
        default=None,
        description="Whether the model was received as part of an integrated end-user product.",
    )
    end_user_evidence: Line | None = Field(
        default=None, description="With role end_user: the product and its supplier."
    )
    trained_models: (
        Annotated[tuple[TrainedModelSpec, ...], Field(strict=False, max_length=1000)] | None
    ) = Field(
        default=None,
        description="Models created, trained or improved with this one or its outputs; [] says"
        " there are none.",
    )
    declared_uses: Annotated[tuple[Use, ...], Field(strict=False), AfterValidator(distinct)] = (
        Field(default=(), description="What the agent does that acceptable use policies speak of.")
    )
    languages: Annotated[tuple[Language, ...], Field(strict=False), AfterValidator(distinct)] = (
        Field(default=(), description="Languages of the users (BCP 47).", examples=[["en", "nb"]])
    )
    language_evaluations: Annotated[
        tuple[Language, ...], Field(strict=False), AfterValidator(distinct)
    ] = Field(
        default=(), description="Those of the languages whose evaluation passed on this deployment."
    )
    grants: Annotated[tuple[Grant, ...], Field(strict=False), AfterValidator(distinct)] = Field(
        default=(),
        description="Separate grants by a licensor, as licence:reference.",
        examples=[["llama4:META-2026-0042"]],
    )
    uses_marks: bool | None = Field(
        default=None,
        description="Whether the licensor's names or marks are used beyond what the licence asks.",
    )
    ip_suit: bool | None = Field(
        default=None,
        description="Whether the principal sues over the model's intellectual property.",
    )
    terminated: bool | None = Field(
        default=None, description="Whether the licence has ended, by breach or notice."
    )
    review: ReviewSpec | None = Field(
        default=None, description="A named person who accepts the findings that ask for a review."
    )
