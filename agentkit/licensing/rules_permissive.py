"""Permissive licences and the DeepSeek licence: what they ask of who passes the model on.

Sources: Apache-2.0, section 4(a) and 4(d); the MIT licence's second paragraph; OpenMDW-1.1; the
DeepSeek License Agreement 1.0, sections 4 and 5. None limits by country, size or language.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.licensing.acceptable_use import use_findings
from agentkit.licensing.findings import Finding, Outcome
from agentkit.licensing.principal import Access, Distribution
from agentkit.licensing.terms import Family

if TYPE_CHECKING:
    from agentkit.licensing.case import Case, Rule

__all__ = ["PERMISSIVE_RULES", "USE_RESTRICTED_RULES", "policy_findings"]


def _distributes(case: Case) -> bool | None:
    """Whether copies reach others. Serving is distribution only under the DeepSeek licence."""
    match case.deployment.distribution:
        case None:
            return None
        case Distribution.INTERNAL:
            return False
        case Distribution.PRODUCT:
            return True
        case Distribution.HOSTED_API:
            serves = case.licence.family is Family.USE_RESTRICTED
            return serves and case.deployment.access is not Access.MANAGED_API


def grant(case: Case) -> Finding:
    """Record that the licence permits use by anybody, anywhere."""
    rule = f"{case.licence.family}.grant"
    reason = f"{case.licence.title} limits neither country nor size nor role"
    return Finding(rule, case.licence.title, Outcome.ALLOW, reason)


def copy_of_licence(case: Case) -> Finding:
    """Require the licence text with copies that reach others."""
    rule = f"{case.licence.family}.copy_of_licence"
    clause = {"apache-2.0": "section 4(a) and 4(d)", "deepseek-1.0": "section 4.b"}.get(
        case.licence.licence_id, "retention of the licence notice"
    )
    cited, distributes = case.clause(clause), _distributes(case)
    if distributes is False:
        return Finding(rule, cited, Outcome.RECORD, "no copies are distributed")
    if case.deployment.ships_licence:
        return Finding(rule, cited, Outcome.ALLOW, "the licence is shipped with copies")
    cure = "ship the licence text and its notices and set deployment.ships_licence: true"
    if distributes is None or case.deployment.ships_licence is None:
        reason = "it is not known whether copies are distributed, and with the licence"
        cure = f"state deployment.distribution; where copies reach others, {cure}"
        return Finding(rule, cited, Outcome.REVIEW, reason, cure)
    reason = "copies are distributed without the licence"
    return Finding(rule, cited, Outcome.DENY, reason, cure)


def restrictions_passed_on(case: Case) -> Finding:
    """DeepSeek licence 4.a: whoever gets the model, or uses it as a service, is bound as well."""
    rule, clause = "use_restricted.passed_on", case.clause("section 4.a and 5")
    if _distributes(case) is False:
        return Finding(rule, clause, Outcome.RECORD, "the model reaches nobody else")
    return Finding(
        rule,
        clause,
        Outcome.REVIEW,
        "the use-based restrictions must be an enforceable part of the users' terms",
        "put Attachment A into the terms of use and have a reviewer confirm it",
    )


def policy_findings(case: Case) -> tuple[Finding, ...]:
    """Judge the declared uses against the licence's policy; one record where it has none."""
    prefix, uses = case.licence.family.value, case.deployment.declared_uses
    if case.licence.policy:
        return use_findings(prefix, case.licence.policy, case.licence.policy_clauses, uses)
    reason = "the licence has no use policy; applicable law still binds"
    return (Finding(f"{prefix}.aup", case.licence.title, Outcome.RECORD, reason),)


PERMISSIVE_RULES: tuple[Rule, ...] = (grant, copy_of_licence)
USE_RESTRICTED_RULES: tuple[Rule, ...] = (copy_of_licence, restrictions_passed_on)
