"""May this principal run this model revision so? One decision, with every clause it rests on.

What is covered: the rules of ``rules_*.py`` and ``acceptable_use.py`` over the operator's own
statements; the most restrictive finding wins; a named reviewer's valid signature lifts a review
and never a deny; the same inputs give the same decision, bytes included. No network, no clock but
the ``today`` that is given.

What is not covered: whether the statements are true, and the law. This is not legal advice.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, cast

from agentkit.errors import StartupRefused
from agentkit.licensing.case import Case, LlamaCase
from agentkit.licensing.findings import Finding, Outcome, most_restrictive
from agentkit.licensing.identity import resolve
from agentkit.licensing.model_table import KNOWN_MODELS
from agentkit.licensing.models import Modality, ModelIdentity, Purpose
from agentkit.licensing.rules_card import CARD_RULES
from agentkit.licensing.rules_domicile import DOMICILE_RULES
from agentkit.licensing.rules_permissive import (
    PERMISSIVE_RULES,
    USE_RESTRICTED_RULES,
    policy_findings,
)
from agentkit.licensing.rules_release import RELEASE_RULES, required_notices
from agentkit.licensing.rules_standing import STANDING_RULES
from agentkit.licensing.terms import TABLE_DATE, Family

if TYPE_CHECKING:
    from agentkit.licensing.models import Catalogue, KnownModel
    from agentkit.licensing.principal import Deployment
    from agentkit.licensing.terms import Licence
    from agentkit.messages import JsonObject, JsonValue

__all__ = ["Alternative", "LicenceDecision", "decide"]

_LLAMA_RULES = (*DOMICILE_RULES, *RELEASE_RULES, *STANDING_RULES, *CARD_RULES)
_STALE_DAYS = 365


@dataclass(frozen=True, slots=True)
class Alternative:
    """A model that this principal may run in the same deployment, and its licence's id."""

    model_id: str
    licence_id: str


@dataclass(frozen=True, slots=True)
class LicenceDecision:
    """The decision over one model in one deployment.

    ``outcome``: allow, review (denied until a named reviewer signs) or deny. ``licence``: None
    where no terms govern. ``modality``: None where not known. ``required_notices``: texts that
    must stand where users meet the product. ``alternatives``: permitted models, where this one is
    not. ``expires``: the last day it holds, None for no end. ``fingerprint``: hex SHA-256 over
    inputs, findings and the tables' date.
    """

    outcome: Outcome
    model: ModelIdentity
    licence: Licence | None
    modality: Modality | None
    findings: tuple[Finding, ...]
    required_notices: tuple[str, ...]
    alternatives: tuple[Alternative, ...]
    expires: date | None
    table_date: date
    fingerprint: str

    @property
    def allowed(self) -> bool:
        """Whether the model may run."""
        return self.outcome is Outcome.ALLOW

    @property
    def obstacles(self) -> tuple[Finding, ...]:
        """The findings that stand in the way, denials first."""
        return tuple(
            finding
            for outcome in (Outcome.DENY, Outcome.REVIEW)
            for finding in self.findings
            if finding.outcome is outcome
        )

    def to_json(self) -> JsonObject:
        """Return the decision as JSON for the audit log; keys are sorted at every level."""
        return cast("JsonObject", _plain(self))

    def refusal(self) -> StartupRefused | None:
        """Return the error that refuses to start, or None where the model may run."""
        if not self.obstacles:
            return None
        first, *others = self.obstacles
        cure = first.cure
        if first.outcome is Outcome.REVIEW:
            cure += "; or have a named reviewer sign deployment.review"
        if self.alternatives:
            named = ", ".join(f"{a.model_id} ({a.licence_id})" for a in self.alternatives[:3])
            cure += f"; permitted here: {named}"
        rules = ", ".join(finding.rule for finding in others)
        more = f" (also: {rules})" if rules else ""
        return StartupRefused(
            f"the model's terms do not permit this: {first.reason}{more}",
            rule=first.rule,
            clause=first.clause,
            cure=cure,
            place=self.model.model_id,
        )


def decide(
    model: ModelIdentity,
    deployment: Deployment,
    *,
    today: date,
    models: Catalogue = KNOWN_MODELS,
) -> LicenceDecision:
    """Decide whether ``deployment`` may run ``model`` on ``today``, by the ``models`` known.

    Never raises for a refusal: an unknown model is a decision to deny.
    """
    known, licence, findings = _judge(model, deployment, today, models)
    outcome = most_restrictive(findings)
    signed = deployment.review if any(finding.reviewer for finding in findings) else None
    inputs = {"model": model, "deployment": deployment, "table_date": TABLE_DATE}
    record = _plain({**inputs, "licence": licence, "findings": findings})
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    refused = outcome is not Outcome.ALLOW
    return LicenceDecision(
        outcome=outcome,
        model=model,
        licence=licence,
        modality=known.modality if known else None,
        findings=findings,
        required_notices=_notices(known, licence, deployment),
        alternatives=_alternatives(known, deployment, today, models) if refused else (),
        expires=signed.expires if signed else None,
        table_date=TABLE_DATE,
        fingerprint=hashlib.sha256(text.encode()).hexdigest(),
    )


def _judge(
    identity: ModelIdentity, deployment: Deployment, today: date, models: Catalogue
) -> tuple[KnownModel | None, Licence | None, tuple[Finding, ...]]:
    found = resolve(identity, models)
    findings = (*found.findings, _table_age(today))
    if found.model is not None and found.licence is not None:
        findings = (*findings, *_apply_rules(found.model, found.licence, deployment))
    return found.model, found.licence, tuple(_sign(f, deployment, today) for f in findings)


def _apply_rules(
    model: KnownModel, licence: Licence, deployment: Deployment
) -> tuple[Finding, ...]:
    case = Case(model, licence, deployment)
    if licence.llama is not None:
        llama = LlamaCase(model, licence, deployment, licence.llama)
        return (*(rule(llama) for rule in _LLAMA_RULES), *policy_findings(llama))
    restricted = licence.family is Family.USE_RESTRICTED
    rules = USE_RESTRICTED_RULES if restricted else PERMISSIVE_RULES
    return (*(rule(case) for rule in rules), *policy_findings(case))


def _sign(finding: Finding, deployment: Deployment, today: date) -> Finding:
    """Turn a review into an allow where a valid signature covers it."""
    review = deployment.review
    if finding.outcome is not Outcome.REVIEW or review is None:
        return finding
    if review.covers is not None and finding.rule not in review.covers:
        return finding
    if not review.holds_on(today):
        dates = f"signed {review.signed}, expires {review.expires or 'never'}"
        reason = f"{finding.reason} (the review by {review.reviewer} is not valid today: {dates})"
        return replace(finding, reason=reason)
    reason = f"allowed by reviewer {review.reviewer} on {review.signed}: {finding.reason}"
    return replace(finding, outcome=Outcome.ALLOW, reason=reason, reviewer=review.reviewer)


def _table_age(today: date) -> Finding:
    age = (today - TABLE_DATE).days
    if age <= _STALE_DAYS:
        reason = f"the licence texts were last read on {TABLE_DATE}"
        return Finding("table.age", "agentkit licence table", Outcome.RECORD, reason)
    return Finding(
        "table.age",
        "agentkit licence table",
        Outcome.RECORD,
        f"the licence texts were last read {age} days ago, on {TABLE_DATE}",
        "update agentkit, or read the licence again",
    )


def _notices(
    model: KnownModel | None, licence: Licence | None, deployment: Deployment
) -> tuple[str, ...]:
    if model is None or licence is None or licence.llama is None:
        return ()
    return required_notices(LlamaCase(model, licence, deployment, licence.llama))


def _alternatives(
    refused: KnownModel | None, deployment: Deployment, today: date, models: Catalogue
) -> tuple[Alternative, ...]:
    """Return the models of the same purpose that the same deployment may run, sorted by id."""
    purpose = refused.purpose if refused else Purpose.CHAT
    return tuple(
        Alternative(other.model_id, other.licence_id)
        for _, other in sorted(models.items())
        if other.purpose is purpose
        and most_restrictive(_judge(ModelIdentity(other.model_id), deployment, today, models)[2])
        is Outcome.ALLOW
    )


def _plain(value: object) -> JsonValue:
    """Return ``value`` as JSON; every type that can occur in a decision is named here."""
    match value:
        case None | bool() | int():
            return value
        case StrEnum():
            return value.value
        case str():
            return value
        case date():
            return value.isoformat()
        case tuple() | list():
            return [_plain(item) for item in value]
        case frozenset():
            return [_plain(item) for item in sorted(value)]
        case dict():
            return {key: _plain(value[key]) for key in sorted(value)}
    if dataclasses.is_dataclass(value):
        names = sorted(field.name for field in dataclasses.fields(value))
        return {name: _plain(getattr(value, name)) for name in names}
    raise TypeError(f"{type(value).__name__} has no JSON form")
