"""Which terms govern the model that the operator names: by table, by base model, or by statement.

What is covered: exact ids, fine-tunes of known models (they inherit terms and modality), stated
licences for what the table does not know, statements that contradict the table or a name, models
that were announced but never released, revisions whose terms were not read.

What is not covered: whether the files at a path are what their name says; that is for the weights'
hash to prove. The name of a folder, or one that only resembles a known model's, never earns
anything here, it can only contradict a favourable statement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agentkit.licensing.findings import Finding, Outcome
from agentkit.licensing.models import KnownModel, Modality, find_model, namesake, nearest_model
from agentkit.licensing.terms import (
    LICENCES,
    TABLE_DATE,
    Family,
    Licence,
    find_licence,
    nearest_licence,
)

if TYPE_CHECKING:
    from agentkit.licensing.models import Catalogue, ModelIdentity

__all__ = ["Resolution", "resolve"]

_BEHEMOTH = re.compile(r"llama[-_ ]?4[-_ ]behemoth", re.IGNORECASE)
# The version a name speaks of: llama-4, Meta-Llama-3.1, llama3-2 and llama-v3p2 as clouds write it.
_LLAMA_NAME = re.compile(
    r"llama[-_.: ]*v?([234])(?![0-9])(?:[-._p]([1-3])(?![0-9b]))?", re.IGNORECASE
)
_MULTIMODAL_NAME = re.compile(r"vision|scout|maverick|llama[-_.: ]*v?4", re.IGNORECASE)

_TABLE = f"agentkit model table of {TABLE_DATE.isoformat()}"


@dataclass(frozen=True, slots=True)
class Resolution:
    """The model and licence to decide by, both None where no terms govern, and how found."""

    model: KnownModel | None
    licence: Licence | None
    findings: tuple[Finding, ...]


def resolve(identity: ModelIdentity, models: Catalogue) -> Resolution:
    """Find the terms of ``identity``; a denying finding stands wherever they are in doubt."""
    unreleased = _unreleased(identity)
    if unreleased:
        return Resolution(None, None, (unreleased,))
    stated = find_licence(identity.licence) if identity.licence is not None else None
    if identity.licence is not None and stated is None:
        return _refused("model.statement", *_unknown_licence(identity.licence))
    known = None if identity.is_path else find_model(identity.model_id, models)
    base = find_model(identity.base_model, models) if identity.base_model is not None else None
    twins = _restricted_namesakes(identity, known, base, models)
    for twin in twins:
        claimed = known or base
        if claimed is not None and _is_milder(claimed, twin):
            claim = f"base {identity.base_model}"
            return _refused("model.base", *_contradiction(identity, twin, claim))
        if stated is not None and stated.licence_id != twin.licence_id:
            claim = stated.licence_id
            return _refused("model.statement", *_contradiction(identity, twin, claim))
    if known is not None:
        return _by_table(identity, known, base, stated)
    if base is not None:
        return _by_base(identity, base, stated)
    if stated is not None:
        return _by_statement(identity, stated)
    return _refused("model.unknown", *_unknown(identity, twins, models))


def _by_table(
    identity: ModelIdentity, known: KnownModel, base: KnownModel | None, stated: Licence | None
) -> Resolution:
    if stated is not None and stated.licence_id != known.licence_id:
        return _refused("model.statement", *_contradiction(identity, known, stated.licence_id))
    if base is not None and _is_milder(known, base):
        return _refused("model.base", *_contradiction(identity, known, f"base {base.model_id}"))
    licence = LICENCES[known.licence_id]
    reason = f"{known.model_id} is published under the {licence.title}"
    found = Finding("model.known", _TABLE, Outcome.RECORD, reason)
    if identity.base_model is not None and base is None:
        found = _unknown_base(identity.base_model)
    return Resolution(known, licence, (found, _revision(identity, known)))


def _by_base(identity: ModelIdentity, base: KnownModel, stated: Licence | None) -> Resolution:
    own = replace(base, model_id=identity.model_id)
    licence = LICENCES[base.licence_id]
    if stated is None or stated == licence:
        reason = f"made from {base.model_id}: its terms, the {licence.title}, go with it"
        finding = Finding("model.base", _TABLE, Outcome.RECORD, reason)
        if _name_disagrees(identity, licence, base.modality):
            finding = _doubtful_name(identity, "model.base", f"made from {base.model_id}")
        return Resolution(own, licence, (finding, _revision(identity, own)))
    if licence.family is not Family.PERMISSIVE:
        return _refused("model.statement", *_contradiction(identity, base, stated.licence_id))
    # A derivative of permissive weights may be published under terms of its own; those are only a
    # statement, and what the new terms say of the model's modality is not known.
    published = Finding(
        "model.statement",
        "operator's statement (model.licence, model.base_model)",
        Outcome.REVIEW,
        f"made from {base.model_id} ({licence.licence_id}) and published under {stated.licence_id}",
        "have a reviewer compare both licences with the publisher's model card",
    )
    own = replace(own, licence_id=stated.licence_id, modality=None, languages=frozenset())
    return Resolution(own, stated, (published, _revision(identity, own)))


def _by_statement(identity: ModelIdentity, stated: Licence) -> Resolution:
    clause = "operator's statement (model.licence)"
    # No card is known, so no language counts as supported where the terms look at the card.
    own = KnownModel(identity.model_id, stated.licence_id, None, languages=frozenset())
    reason = f"the operator states that the {stated.title} governs this model"
    finding = Finding("model.statement", clause, Outcome.RECORD, reason)
    if identity.base_model is not None:
        finding = _unknown_base(identity.base_model)
    elif _name_disagrees(identity, stated, own.modality):
        finding = _doubtful_name(identity, "model.statement", f"under the {stated.title}")
    return Resolution(own, stated, (finding, _revision(identity, own)))


def _revision(identity: ModelIdentity, known: KnownModel) -> Finding:
    """Hold the revision against those whose terms were read."""
    if known.revisions is not None and identity.revision not in known.revisions:
        which = identity.revision or "an unpinned revision"
        return Finding(
            "model.revision",
            _TABLE,
            Outcome.REVIEW,
            f"the terms of {which} were not read: {known.note or 'they differ between revisions'}",
            "pin model.revision and have a reviewer read that revision's licence file",
        )
    if not identity.revision:
        reason = "no revision is pinned; terms are as of the table's date"
        cure = "pin model.revision, since families change their terms between releases"
        return Finding("model.revision", _TABLE, Outcome.RECORD, reason, cure)
    return Finding("model.revision", _TABLE, Outcome.RECORD, f"revision {identity.revision}")


def _unknown_base(base_model: str) -> Finding:
    return Finding(
        "model.base",
        "operator's statement (model.base_model)",
        Outcome.REVIEW,
        f"the base model {base_model!r} is not in the table; its terms may bind too",
        "have a reviewer read the base model's terms",
    )


def _unreleased(identity: ModelIdentity) -> Finding | None:
    names = (identity.model_id, identity.base_model or "")
    if not any(_BEHEMOTH.search(name) for name in names):
        return None
    return Finding(
        "model.unreleased",
        _TABLE,
        Outcome.DENY,
        "Llama 4 Behemoth was announced; neither weights nor terms were released",
        "choose a released model (see alternatives)",
    )


def _restricted_namesakes(
    identity: ModelIdentity, known: KnownModel | None, base: KnownModel | None, models: Catalogue
) -> tuple[KnownModel, ...]:
    """Return the restricted models whose names the id and the base bear, where not known."""
    names = (
        None if known is not None else identity.model_id,
        None if base is not None else identity.base_model,
    )
    twins = (namesake(name, models) for name in names if name is not None)
    return tuple(
        twin
        for twin in twins
        if twin is not None and LICENCES[twin.licence_id].family is not Family.PERMISSIVE
    )


def _is_milder(claimed: KnownModel, other: KnownModel) -> bool:
    """Whether ``claimed`` has other terms, or is text-only where ``other`` is not."""
    text_only = claimed.modality is Modality.TEXT and other.modality is not Modality.TEXT
    return claimed.licence_id != other.licence_id or text_only


def _name_disagrees(identity: ModelIdentity, licence: Licence, modality: Modality | None) -> bool:
    """Whether the name speaks of another Llama than these terms, or of one that sees."""
    spoken = _LLAMA_NAME.search(identity.model_id)
    if spoken is None:
        return False
    version = ".".join(part for part in spoken.groups() if part)
    if not licence.licence_id.startswith(f"llama{version}"):
        return True
    return modality is Modality.TEXT and _MULTIMODAL_NAME.search(identity.model_id) is not None


def _doubtful_name(identity: ModelIdentity, rule: str, claim: str) -> Finding:
    return Finding(
        rule,
        "operator's statement (model.licence, model.base_model)",
        Outcome.REVIEW,
        f"the name {identity.model_id!r} speaks of another Llama than the statement: {claim}",
        "state the model.base_model it was made from, or have a reviewer confirm its origin",
    )


def _refused(rule: str, reason: str, cure: str) -> Resolution:
    return Resolution(None, None, (Finding(rule, _TABLE, Outcome.DENY, reason, cure),))


def _contradiction(identity: ModelIdentity, known: KnownModel, claim: str) -> tuple[str, str]:
    return (
        f"{identity.model_id!r} is stated as {claim}; {known.model_id} is under {known.licence_id}",
        (
            "remove model.licence and model.base_model, or state what the publisher states: "
            f"model.base_model: {known.model_id}"
        ),
    )


def _unknown_licence(stated: str) -> tuple[str, str]:
    near = nearest_licence(stated)
    hint = f"did you mean {near}? " if near else ""
    return (
        f"the stated licence {stated!r} is not in the table, so nobody has read its terms",
        f"{hint}Known: {', '.join(sorted(LICENCES))}",
    )


def _unknown(
    identity: ModelIdentity, twins: tuple[KnownModel, ...], models: Catalogue
) -> tuple[str, str]:
    near = nearest_model(identity.model_id, models) or (twins[0].model_id if twins else "")
    named = f"state model.base_model: {near}" if identity.is_path else "name it"
    hint = f"did you mean {near}? If so, {named}. " if near else ""
    return (
        f"the model {identity.model_id!r} is not in the table and its terms are not stated",
        (
            f"{hint}State the terms in agent.yaml: model.base_model for a fine-tune, or "
            f"model.licence (one of {', '.join(sorted(LICENCES))})"
        ),
    )
