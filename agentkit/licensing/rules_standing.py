"""Llama licence: size of the licensee, law and policy, marks, suits and the licence's end.

A suit and the licence's end are events: who has not stated them starts, and the record says that
they are not stated. So it is with marks that nobody outside can see.

Source: sections 1.b.ii, 1.b.iv, 2, 5.a, 5.c, 6 and 7 of each version's LICENSE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.licensing.findings import Finding, Outcome
from agentkit.licensing.principal import Distribution

if TYPE_CHECKING:
    from agentkit.licensing.case import LlamaCase, LlamaRule

__all__ = ["MAXIMUM_USERS", "STANDING_RULES"]

MAXIMUM_USERS = 700_000_000  # "greater than 700 million": exactly 700 million is permitted


def integrated_product(case: LlamaCase) -> Finding:
    """1.b.ii: who received the model inside an integrated product is free of section 2."""
    rule, clause = "llama.integrated_product", case.clause("1.b.ii")
    if case.deployment.integrated_product:
        reason = "received as part of an integrated end-user product: section 2 does not apply"
        return Finding(rule, clause, Outcome.ALLOW, reason)
    stated = "not stated to be" if case.deployment.integrated_product is None else "not"
    reason = f"{stated} received inside an integrated end-user product: section 2 applies"
    return Finding(rule, clause, Outcome.RECORD, reason)


def monthly_active_users(case: LlamaCase) -> Finding:
    """2: above 700 million users in a fixed month, only with a grant from Meta."""
    rule, clause = "llama.monthly_active_users", case.clause("section 2")
    deployment, month = case.deployment, case.terms.users_month
    if deployment.integrated_product:
        return Finding(rule, clause, Outcome.RECORD, "not applicable by 1.b.ii")
    grants = [
        grant
        for grant in deployment.grants
        if grant.partition(":")[0].strip().casefold() == case.licence.licence_id
    ]
    if grants:
        return Finding(rule, clause, Outcome.ALLOW, f"granted by Meta: {', '.join(grants)}")
    users = deployment.monthly_active_users
    if users is None:
        return Finding(
            rule,
            clause,
            Outcome.REVIEW,
            f"the monthly active users in {month}, with affiliates, are not known",
            f"state deployment.monthly_active_users of {month}, the month before the release",
        )
    if users > MAXIMUM_USERS:
        return Finding(
            rule,
            clause,
            Outcome.DENY,
            f"{users:,} monthly active users in {month} are more than {MAXIMUM_USERS:,}",
            "request a licence from Meta and state it in deployment.grants as "
            f"'{case.licence.licence_id}:reference'",
        )
    reason = f"{users:,} monthly active users in {month}, at most {MAXIMUM_USERS:,}"
    return Finding(rule, clause, Outcome.ALLOW, reason)


def law_and_policy(case: LlamaCase) -> Finding:
    """1.b.iv: law, trade compliance and the Acceptable Use Policy are part of the terms."""
    declared = ", ".join(case.deployment.declared_uses) or "none"
    return Finding(
        "llama.law_and_policy",
        case.clause("1.b.iv"),
        Outcome.RECORD,
        f"applicable law and the {case.licence.policy} bind; declared uses: {declared}",
    )


def trademark(case: LlamaCase) -> Finding:
    """5.a: no marks beyond what the licence itself requires."""
    rule, clause = "llama.trademark", case.clause("5.a")
    if case.deployment.uses_marks is False:
        return Finding(rule, clause, Outcome.RECORD, "no use of Meta's marks beyond the licence's")
    if case.deployment.uses_marks is None and case.deployment.distribution is Distribution.INTERNAL:
        reason = "internal use; not stated whether Meta's marks are used beyond the licence's"
        return Finding(rule, clause, Outcome.RECORD, reason, "state deployment.uses_marks")
    stated = "uses" if case.deployment.uses_marks else "may use"
    return Finding(
        rule,
        clause,
        Outcome.REVIEW,
        f"the deployment {stated} Meta's names or marks beyond what the licence requires",
        "keep to the required display and state deployment.uses_marks: false, or have a reviewer "
        "check Meta's brand guidelines",
    )


def ip_suit(case: LlamaCase) -> Finding:
    """5.c: a suit over the model's intellectual property ends the licence."""
    rule, clause = "llama.ip_suit", case.clause("5.c")
    if case.deployment.ip_suit is False:
        return Finding(rule, clause, Outcome.RECORD, "a suit over the model would end the licence")
    if case.deployment.ip_suit is None:
        return Finding(
            rule,
            clause,
            Outcome.RECORD,
            "not stated whether the principal sues over the model; a suit would end the licence",
            "state deployment.ip_suit",
        )
    return Finding(
        rule,
        clause,
        Outcome.DENY,
        "the principal's suit over the model has ended the licence",
        "stop using the model and choose one under another licence",
    )


def termination(case: LlamaCase) -> Finding:
    """6: the kill switch; after a breach and notice the model is deleted and no longer used."""
    rule, clause = "llama.termination", case.clause("section 6")
    if case.deployment.terminated is False:
        return Finding(rule, clause, Outcome.RECORD, "a breach may end the licence")
    if case.deployment.terminated is None:
        return Finding(
            rule,
            clause,
            Outcome.RECORD,
            "not stated whether the licence has been terminated; a breach may end it",
            "state deployment.terminated",
        )
    return Finding(
        rule,
        clause,
        Outcome.DENY,
        "the licence has been terminated",
        "stop, delete all copies of the model and choose one under another licence",
    )


def governing_law(case: LlamaCase) -> Finding:
    """7: California law, California courts."""
    reason = "California law governs; California courts have exclusive jurisdiction"
    return Finding("llama.governing_law", case.clause("section 7"), Outcome.RECORD, reason)


STANDING_RULES: tuple[LlamaRule, ...] = (
    integrated_product,
    law_and_policy,
    monthly_active_users,
    trademark,
    ip_suit,
    termination,
    governing_law,
)
