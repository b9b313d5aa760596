"""From a specification to the licence decisions it needs: one for each model it would run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.licensing import (
    Access,
    DeclaredUse,
    Deployment,
    Distribution,
    LicenceDecision,
    ModelIdentity,
    Principal,
    PrincipalKind,
    Review,
    Role,
    TrainedModel,
    decide,
)
from agentkit.model.embedded import EMBEDDED_MODEL_ID
from agentkit.spec import EmbeddedModel, LocalModel, RemoteModel

if TYPE_CHECKING:
    from datetime import date

    from agentkit.spec import AgentSpec, DeploymentSpec, ModelSpec

__all__ = ["decide_licences", "model_identity"]


def decide_licences(spec: AgentSpec, today: date) -> tuple[LicenceDecision, ...]:
    """Decide over the model that answers and, where there is one, over Llama Guard."""
    access = _access(spec.model)
    decisions = [decide(model_identity(spec.model), _deployment(spec, access), today=today)]
    guard = spec.guards.llama_guard
    if guard is not None:
        identity = ModelIdentity(guard.id, guard.revision, base_model=guard.base_model)
        guard_access = Access(guard.access) if guard.access else None
        decisions.append(decide(identity, _deployment(spec, guard_access), today=today))
    return tuple(decisions)


def model_identity(model: ModelSpec) -> ModelIdentity:
    """Return the model as the licence table knows it."""
    match model:
        case EmbeddedModel():
            return ModelIdentity(EMBEDDED_MODEL_ID)
        case LocalModel():
            return ModelIdentity(
                model.id or str(model.path),
                model.revision,
                model.licence,
                model.base_model,
                is_path=model.id is None,
            )
        case RemoteModel():
            return ModelIdentity(model.id, model.revision, model.licence, model.base_model)


def _access(model: ModelSpec) -> Access | None:
    if not isinstance(model, RemoteModel):
        return Access.SELF_HOSTED
    return Access(model.access) if model.access else None


def _deployment(spec: AgentSpec, access: Access | None) -> Deployment:
    stated: DeploymentSpec = spec.deployment
    principal = stated.principal
    return Deployment(
        principal=Principal(
            name=principal.name,
            kind=PrincipalKind(principal.kind),
            country=principal.country,
            affiliates=principal.affiliates,
            staff_countries=principal.staff_countries,
            organisation_number=principal.organisation_number,
        ),
        role=Role(stated.role),
        access=access,
        distribution=Distribution(stated.distribution) if stated.distribution else None,
        monthly_active_users=stated.monthly_active_users,
        attribution=stated.attribution,
        notice=stated.notice,
        ships_licence=stated.ships_licence,
        integrated_product=stated.integrated_product,
        end_user_evidence=stated.end_user_evidence,
        trained_models=_trained_models(stated),
        declared_uses=tuple(DeclaredUse(use) for use in stated.declared_uses),
        languages=stated.languages,
        language_evaluations=stated.language_evaluations,
        images_per_prompt=0,  # an agent takes text, and its tools return text
        grants=stated.grants,
        uses_marks=stated.uses_marks,
        ip_suit=stated.ip_suit,
        terminated=stated.terminated,
        review=Review(
            reviewer=stated.review.reviewer,
            signed=stated.review.signed,
            expires=stated.review.expires,
            covers=stated.review.covers,
        )
        if stated.review
        else None,
    )


def _trained_models(stated: DeploymentSpec) -> tuple[TrainedModel, ...] | None:
    if stated.trained_models is None:
        return None
    return tuple(
        TrainedModel(model.name, model.distributed, model.derives_from_llama)
        for model in stated.trained_models
    )
