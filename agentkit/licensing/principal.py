"""Who runs a model, in which role, and what is known of the deployment.

These are statements of the operator. What is not known is ``None``, and a rule that needs it asks
for a review or denies; nothing is inferred and nothing unknown is recorded as if it were stated.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from agentkit.errors import SpecError
from agentkit.licensing.acceptable_use import DeclaredUse
from agentkit.licensing.countries import parse_country

if TYPE_CHECKING:
    from datetime import date

__all__ = [
    "Access",
    "Deployment",
    "Distribution",
    "Principal",
    "PrincipalKind",
    "Review",
    "Role",
    "TrainedModel",
    "norwegian_number",
]

_Member = TypeVar("_Member", bound=StrEnum)

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*", re.IGNORECASE)
_ORGANISATION_WEIGHTS = (3, 2, 7, 6, 5, 4, 3, 2)


class PrincipalKind(StrEnum):
    """A company is where its principal place of business is, an individual where domiciled."""

    COMPANY = "company"
    INDIVIDUAL = "individual"


class Role(StrEnum):
    """What the principal does with the model.

    ``end_user`` is only who uses a third party's product; who runs agentkit is at least a deployer.
    """

    DEVELOPER = "developer"
    DEPLOYER = "deployer"
    DISTRIBUTOR = "distributor"
    FINE_TUNER = "fine_tuner"
    END_USER = "end_user"


class Distribution(StrEnum):
    """Who gets it.

    ``internal``: only the principal's own people. ``product``: others receive or use a product or
    service that contains the model. ``hosted_api``: others use a product that calls a hosted API.
    """

    INTERNAL = "internal"
    PRODUCT = "product"
    HOSTED_API = "hosted_api"


class Access(StrEnum):
    """Who holds the weights: the principal has its own copy, or somebody else serves the model."""

    SELF_HOSTED = "self_hosted"
    MANAGED_API = "managed_api"


@dataclass(frozen=True, slots=True)
class Principal:
    """The company or person that enters into the licence.

    ``country``: ISO 3166-1 alpha-2 of the principal place of business or domicile, None if not
    known. ``affiliates``: countries of parent, affiliates and branches; ``staff_countries``: where
    staff who work with the model live; an empty tuple states that there are none elsewhere, None
    that it is not known. SpecError for what is no country code or Norwegian organisation number.
    """

    name: str
    kind: PrincipalKind
    country: str | None
    affiliates: tuple[str, ...] | None = None
    staff_countries: tuple[str, ...] | None = None
    organisation_number: str | None = None

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise SpecError("the principal has no name", cure="state deployment.principal.name")
        _set(self, "kind", _member(PrincipalKind, self.kind, "kind of principal"))
        if self.country is not None:
            _set(self, "country", parse_country(self.country))
        for field in ("affiliates", "staff_countries"):
            stated: tuple[str, ...] | None = getattr(self, field)
            if stated is not None:
                _set(self, field, tuple(sorted({parse_country(code) for code in stated})))
        if self.organisation_number is not None and self.country == "NO":
            _set(self, "organisation_number", norwegian_number(self.organisation_number))


@dataclass(frozen=True, slots=True)
class Review:
    """A named person's signature under a deployment's review findings; it never lifts a deny.

    ``signed``: the day. ``expires``: the last day it holds, None for no end. ``covers``: the rules
    it covers, None for all review findings of the deployment.
    """

    reviewer: str
    signed: date
    expires: date | None = None
    covers: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not self.reviewer.strip():
            raise SpecError("a review has no reviewer", cure="name the person who signed")
        if self.expires is not None and self.expires < self.signed:
            raise SpecError("a review expires before it was signed", cure="check its two dates")

    def holds_on(self, today: date) -> bool:
        """Whether the signature is given and not expired on ``today`` (both days included)."""
        return self.signed <= today and (self.expires is None or today <= self.expires)


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model created, trained or improved with the model or its outputs.

    ``distributed``: made available to others. ``derives_from_llama``: a derivative work of the
    same Llama version (Llama 2 and 3 permit improving only those).
    """

    name: str
    distributed: bool | None = None
    derives_from_llama: bool | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """Everything a licence asks about one use of one model.

    ``monthly_active_users``: of the principal and its affiliates in the calendar month before the
    model version's release (Llama 4: March 2025), a fixed figure. ``attribution``: the text shown
    to users. ``notice``: content of the Notice file shipped with copies. ``integrated_product``:
    the model was received inside an end-user product. ``trained_models``: those created, trained
    or improved with it, empty for none. ``languages``: BCP 47
    codes of the users' languages, empty if not known. ``language_evaluations``: those of them
    whose evaluation passed on this deployment. ``grants``: ``licence id:reference`` of a separate
    grant by the licensor. ``end_user_evidence``: product and supplier, for the role end_user.
    ``images_per_prompt``: at most how many. ``uses_marks``: the licensor's names or marks are used
    beyond what the licence requires. ``ip_suit``: the principal sues over the model.
    ``terminated``: the licence has ended, by breach or notice.
    """

    principal: Principal
    role: Role
    access: Access | None = None
    distribution: Distribution | None = None
    monthly_active_users: int | None = None
    attribution: str | None = None
    notice: str | None = None
    ships_licence: bool | None = None
    integrated_product: bool | None = None
    end_user_evidence: str | None = None
    trained_models: tuple[TrainedModel, ...] | None = None
    declared_uses: tuple[DeclaredUse, ...] = ()
    languages: tuple[str, ...] = ()
    language_evaluations: tuple[str, ...] = ()
    images_per_prompt: int | None = None
    grants: tuple[str, ...] = ()
    uses_marks: bool | None = None
    ip_suit: bool | None = None
    terminated: bool | None = None
    review: Review | None = None

    def __post_init__(self) -> None:
        _set(self, "role", _member(Role, self.role, "role"))
        if self.access is not None:
            _set(self, "access", _member(Access, self.access, "access"))
        if self.distribution is not None:
            _set(self, "distribution", _member(Distribution, self.distribution, "distribution"))
        uses = {_member(DeclaredUse, use, "declared use") for use in self.declared_uses}
        _set(self, "declared_uses", tuple(sorted(uses)))
        _set(self, "languages", _languages(self.languages))
        _set(self, "language_evaluations", _languages(self.language_evaluations))
        for count in (self.monthly_active_users, self.images_per_prompt):
            if count is not None and count < 0:
                raise SpecError(f"{count} is no count", cure="state 0 or more, or leave it out")
        for grant in self.grants:
            if not all(part.strip() for part in grant.partition(":")):
                raise SpecError(
                    f"{grant!r} names no grant",
                    cure="write it as 'licence id:reference', such as 'llama4:META-2026-0042'",
                )


def _set(target: object, field: str, value: object) -> None:
    object.__setattr__(target, field, value)  # the one way to normalise a frozen dataclass


def _member(kind: type[_Member], value: str, what: str) -> _Member:
    try:
        return kind(value)
    except ValueError:
        known = [member.value for member in kind]
        close = difflib.get_close_matches(str(value), known, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise SpecError(
            f"{value!r} is no {what}", cure=f"{hint}Known: {', '.join(known)}"
        ) from None


def _languages(codes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the codes' primary language subtags (``nb-NO`` → ``nb``), sorted."""
    for code in codes:
        if not _LANGUAGE.fullmatch(code):
            raise SpecError(
                f"{code!r} is no language code", cure="state a BCP 47 code such as nb, nn or en"
            )
    return tuple(sorted({code.split("-")[0].lower() for code in codes}))


def norwegian_number(text: str) -> str:
    """Return the nine digits of a Norwegian organisation number whose check digit is right."""
    digits = re.sub(r"\s", "", text)
    if re.fullmatch(r"[0-9]{9}", digits):
        weighted = zip(_ORGANISATION_WEIGHTS, digits, strict=False)
        if -sum(weight * int(digit) for weight, digit in weighted) % 11 == int(digits[8]):
            return digits
    raise SpecError(
        f"{text!r} is no Norwegian organisation number",
        cure="state the nine digits of the Register of Business Enterprises",
    )
