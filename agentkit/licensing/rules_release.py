"""Llama licence, section 1.b: what is owed when the model, or its offspring, reaches others.

Source: section 1.b.i to 1.b.v of each version's LICENSE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.licensing.findings import Finding, Outcome
from agentkit.licensing.principal import Distribution, Role

if TYPE_CHECKING:
    from agentkit.licensing.case import LlamaCase, LlamaRule
    from agentkit.licensing.principal import TrainedModel

__all__ = ["RELEASE_RULES", "required_notices"]

_DISTRIBUTION_CURE = "state deployment.distribution: internal, product or hosted_api (and access)"


def copy_of_agreement(case: LlamaCase) -> Finding:
    """1.b.i(A): whoever gets the materials gets the agreement."""
    number = "1.b.i(A)" if case.terms.display else "1.b.i"  # Llama 2 asks for nothing else there
    rule, clause = "llama.copy_of_agreement", case.clause(number)
    if case.contains_materials is False:
        return Finding(rule, clause, Outcome.RECORD, "the materials reach nobody else")
    if case.deployment.ships_licence:
        return Finding(rule, clause, Outcome.ALLOW, "a copy of the agreement is shipped")
    cure = f"ship {case.licence.source} with the product and set deployment.ships_licence: true"
    if case.deployment.ships_licence is None or case.contains_materials is None:
        return Finding(
            rule,
            clause,
            Outcome.REVIEW,
            "it is not known whether others get the materials, and with a copy of the agreement",
            cure if case.contains_materials else f"{_DISTRIBUTION_CURE}; {cure}",
        )
    reason = "the materials reach others without a copy of the agreement"
    return Finding(rule, clause, Outcome.DENY, reason, cure)


def attribution(case: LlamaCase) -> Finding:
    """1.b.i(B): the display string stands prominently where users meet the product."""
    rule, clause, text = "llama.attribution", case.clause("1.b.i(B)"), case.terms.display
    if not text:
        return Finding(rule, clause, Outcome.RECORD, "this version asks for no display")
    if case.deployment.distribution is Distribution.INTERNAL:
        return Finding(rule, clause, Outcome.RECORD, "internal use only: not applicable")
    if text in (case.deployment.attribution or ""):
        return Finding(rule, clause, Outcome.ALLOW, f"“{text}” is shown")
    cure = f"show “{text}” prominently and state it in deployment.attribution"
    if case.contains_materials:
        reason = f"others use the product and “{text}” is not shown"
        return Finding(rule, clause, Outcome.DENY, reason, cure)
    reason = f"others may use a product over this model and “{text}” is not shown"
    return Finding(rule, clause, Outcome.REVIEW, reason, cure)


def notice_file(case: LlamaCase) -> Finding:
    """1.b.iii: copies carry a Notice file with the exact sentence."""
    rule, clause = "llama.notice_file", case.clause("1.b.iii")
    if case.contains_materials is False:
        return Finding(rule, clause, Outcome.RECORD, "no copies are distributed")
    if case.terms.notice in (case.deployment.notice or ""):
        return Finding(rule, clause, Outcome.ALLOW, "the Notice file holds the exact sentence")
    cure = f"ship a Notice file with exactly: {case.terms.notice}"
    if case.contains_materials is None:
        reason = "it is not known whether copies are distributed"
        return Finding(rule, clause, Outcome.REVIEW, reason, f"{_DISTRIBUTION_CURE}; or {cure}")
    reason = "the Notice file is absent or does not hold the exact sentence"
    return Finding(rule, clause, Outcome.DENY, reason, cure)


def name_prefix(case: LlamaCase) -> Finding:
    """1.b.i, last sentence: an improved model that is distributed carries the name in front."""
    rule, clause = "llama.name_prefix", case.clause("1.b.i, last sentence")
    prefix, trained = case.terms.name_prefix, case.deployment.trained_models
    if not prefix:
        return Finding(rule, clause, Outcome.RECORD, "this version asks for no name")
    if not trained and case.deployment.role is Role.FINE_TUNER:
        return Finding(
            rule,
            clause,
            Outcome.REVIEW,
            "the fine-tuner states no model",
            "list the models made, with name and distributed, in deployment.trained_models",
        )
    if trained is None:
        return _not_stated(rule, clause)
    misnamed = [m for m in trained if not _bare_name(m).startswith(prefix)]
    names = ", ".join(sorted(m.name for m in misnamed))
    cure = f"let the name begin with “{prefix}”, or keep the model internal (distributed: false)"
    if any(m.distributed for m in misnamed):
        reason = f"improved with the model, distributed, and not named “{prefix}…”: {names}"
        return Finding(rule, clause, Outcome.DENY, reason, cure)
    if any(m.distributed is None for m in misnamed):
        reason = f"not named “{prefix}…” and it is not known whether distributed: {names}"
        return Finding(rule, clause, Outcome.REVIEW, reason, cure)
    if not trained:
        return Finding(rule, clause, Outcome.RECORD, "no model is improved with it")
    return Finding(rule, clause, Outcome.ALLOW, f"distributed models are named “{prefix}…”")


def improving_other_models(case: LlamaCase) -> Finding:
    """1.b.v of Llama 2 and 3: neither materials nor outputs improve another language model."""
    rule, trained = "llama.improving_other_models", case.deployment.trained_models
    if not case.terms.bars_improving_others:
        clause = case.clause("1.b")
        return Finding(rule, clause, Outcome.RECORD, "improving other models is permitted")
    clause = case.clause("1.b.v")
    if trained is None:
        fine_tunes = case.deployment.role is Role.FINE_TUNER
        return _not_stated(rule, clause, Outcome.REVIEW if fine_tunes else Outcome.RECORD)
    others = [m for m in trained if m.derives_from_llama is False]
    if others:
        names = ", ".join(sorted(m.name for m in others))
        return Finding(
            rule,
            clause,
            Outcome.DENY,
            f"this version forbids improving other language models: {names}",
            "train with Llama 3.1 or later, or with a model under a permissive licence",
        )
    if any(m.derives_from_llama is None for m in trained):
        return Finding(
            rule,
            clause,
            Outcome.REVIEW,
            "it is not known whether the improved models derive from this Llama version",
            "state derives_from_llama for each of deployment.trained_models",
        )
    return Finding(rule, clause, Outcome.RECORD, "no other language model is improved")


def _not_stated(rule: str, clause: str, outcome: Outcome = Outcome.RECORD) -> Finding:
    return Finding(
        rule,
        clause,
        outcome,
        "not stated whether a model is created, trained or improved with it",
        "state deployment.trained_models; an empty list says none",
    )


def _bare_name(model: TrainedModel) -> str:
    return model.name.strip().rsplit("/", 1)[-1]


def required_notices(case: LlamaCase) -> tuple[str, ...]:
    """Return the texts that must stand somewhere as soon as others use the product."""
    if case.deployment.distribution is Distribution.INTERNAL:
        return ()
    copies = () if case.contains_materials is False else (case.terms.notice,)
    return tuple(text for text in (case.terms.display, *copies) if text)


RELEASE_RULES: tuple[LlamaRule, ...] = (
    copy_of_agreement,
    attribution,
    name_prefix,
    notice_file,
    improving_other_models,
)
