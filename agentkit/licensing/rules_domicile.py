"""Llama licence: who the counterparty is, and whom the European Union paragraph withholds it from.

What is covered: the paragraph that closes the Acceptable Use Policy of Llama 3.2, 3.3 and 4. It
withholds the rights of section 1(a) for *multimodal* models from individuals domiciled in, and
companies with a principal place of business in, the European Union, and exempts end users of a
product that incorporates such a model. It attaches to the model: text-only use does not avoid it.

What is not covered: whether a stated country is true, and what a court would say of a branch, a
managed API or an affiliate; those are review, for a person to decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.licensing.countries import Zone, domain
from agentkit.licensing.findings import Finding, Outcome
from agentkit.licensing.models import Modality
from agentkit.licensing.principal import Access, Distribution, PrincipalKind, Role

if TYPE_CHECKING:
    from agentkit.licensing.case import LlamaCase, LlamaRule

__all__ = ["DOMICILE_RULES"]

_RULE = "llama.eu_multimodal"
_OTHER_MODEL = "choose a text-only Llama or a model under a permissive licence (see alternatives)"


def counterparty(case: LlamaCase) -> Finding:
    """Preamble: use is acceptance; Meta Ireland for the EEA and Switzerland, else Meta Inc."""
    zone, country = domain(case.principal.country).zone, case.principal.country
    if zone is Zone.UNKNOWN:
        party = "Meta Platforms Ireland Limited or Meta Platforms, Inc. (country not stated)"
    elif zone in {Zone.EU, Zone.EEA} or country == "CH":
        party = "Meta Platforms Ireland Limited"
    else:
        party = "Meta Platforms, Inc."
    reason = f"use is acceptance; the counterparty is {party}"
    return Finding("llama.counterparty", case.clause("preamble"), Outcome.RECORD, reason)


def eu_multimodal(case: LlamaCase) -> Finding:
    """Policy, closing paragraph: no rights to multimodal models for principals in the EU."""
    clause = f"{case.licence.policy}, closing paragraph"
    if not case.terms.eu_clause:
        reason = "this version has no European Union paragraph"
        return Finding(_RULE, case.licence.policy, Outcome.RECORD, reason)
    if case.model.modality is Modality.TEXT:
        reason = "the paragraph speaks of multimodal models; this one is text-only"
        return Finding(_RULE, clause, Outcome.RECORD, reason)
    match domain(case.principal.country).zone:
        case Zone.UNKNOWN:
            return Finding(
                _RULE,
                clause,
                Outcome.REVIEW,
                "the principal's country is not known, and is never inferred",
                "state deployment.principal.country as an ISO 3166-1 alpha-2 code",
            )
        case Zone.EU:
            return _inside(case, clause)
        case Zone.EEA | Zone.OTHER:
            return _outside(case, clause)


def _inside(case: LlamaCase, clause: str) -> Finding:
    deployment, who = case.deployment, _who(case)
    if deployment.role is Role.END_USER:
        return _end_user(case, clause)
    builds = deployment.role in {Role.DEVELOPER, Role.DEPLOYER}
    if builds and deployment.access is Access.MANAGED_API:
        return Finding(
            _RULE,
            clause,
            Outcome.REVIEW,
            f"{who} in the European Union builds on somebody's managed API of a multimodal model",
            f"have a reviewer sign the provider's terms, or {_OTHER_MODEL}",
        )
    cure = _OTHER_MODEL
    if case.model.modality is None:
        cure = f"if the model is text-only, state its model.base_model; or {_OTHER_MODEL}"
    access = deployment.access or "access not stated"
    return Finding(
        _RULE,
        clause,
        Outcome.DENY,
        f"no rights are granted to {who} in the European Union (role {deployment.role}, {access})",
        cure,
    )


def _end_user(case: LlamaCase, clause: str) -> Finding:
    deployment = case.deployment
    passes_on = deployment.distribution in {Distribution.PRODUCT, Distribution.HOSTED_API}
    if deployment.access is Access.SELF_HOSTED or passes_on:
        reason = "who holds the weights or passes the model on is no mere end user of a product"
        return Finding(_RULE, clause, Outcome.DENY, reason, _OTHER_MODEL)
    unknown = deployment.access is None or deployment.distribution is None
    if unknown or not (deployment.end_user_evidence or "").strip():
        return Finding(
            _RULE,
            clause,
            Outcome.REVIEW,
            "end users are exempt, and nothing shows that the principal is purely one",
            "name product and supplier in end_user_evidence, and state access: managed_api and "
            "distribution: internal",
        )
    reason = f"end user of a third party's product: {deployment.end_user_evidence}"
    return Finding(_RULE, clause, Outcome.ALLOW, reason)


def _outside(case: LlamaCase, clause: str) -> Finding:
    principal = case.principal
    if principal.affiliates is None or principal.staff_countries is None:
        return Finding(
            _RULE,
            clause,
            Outcome.REVIEW,
            "it is not known whether affiliates, branches or staff are in the European Union",
            "state affiliates and staff_countries of the principal; an empty list says none",
        )
    tied = sorted({*principal.affiliates, *principal.staff_countries})
    inside = ", ".join(code for code in tied if domain(code).zone is Zone.EU)
    if inside:
        return Finding(
            _RULE,
            clause,
            Outcome.REVIEW,
            f"{_who(case)} is outside the European Union, with affiliates or staff in {inside}",
            f"have a reviewer confirm that those do not use the model, or {_OTHER_MODEL}",
        )
    reason = f"{_who(case)} in {principal.country}, outside the European Union, no ties stated"
    return Finding(_RULE, clause, Outcome.ALLOW, reason)


def _who(case: LlamaCase) -> str:
    company = case.principal.kind is PrincipalKind.COMPANY
    return (
        "a company with its principal place of business" if company else "an individual domiciled"
    )


DOMICILE_RULES: tuple[LlamaRule, ...] = (counterparty, eu_multimodal)
