"""One case to decide: a model under its terms, in a deployment; every rule reads exactly this."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from agentkit.licensing.principal import Access, Distribution

if TYPE_CHECKING:
    from agentkit.licensing.findings import Finding
    from agentkit.licensing.models import KnownModel
    from agentkit.licensing.principal import Deployment, Principal
    from agentkit.licensing.terms import Licence, LlamaTerms

__all__ = ["Case", "LlamaCase", "LlamaRule", "Rule"]


@dataclass(frozen=True, slots=True)
class Case:
    """``model``: what is known of the model, from the table, its base or a statement."""

    model: KnownModel
    licence: Licence
    deployment: Deployment

    @property
    def principal(self) -> Principal:
        """Who enters into the licence."""
        return self.deployment.principal

    @property
    def contains_materials(self) -> bool | None:
        """Whether others get the model or a product that contains it; None where not known."""
        match self.deployment.distribution:
            case Distribution.INTERNAL:
                return False
            case Distribution.PRODUCT:
                return True
            case Distribution.HOSTED_API if self.deployment.access is Access.SELF_HOSTED:
                return True  # an API over one's own copy makes the model available
            case Distribution.HOSTED_API if self.deployment.access is Access.MANAGED_API:
                return False
            case _:
                return None

    def clause(self, number: str) -> str:
        """Cite a clause of the licence."""
        return f"{self.licence.title}, {number}"


@dataclass(frozen=True, slots=True)
class LlamaCase(Case):
    """A case under one version of Meta's community licence."""

    terms: LlamaTerms


Rule: TypeAlias = Callable[[Case], "Finding"]
LlamaRule: TypeAlias = Callable[[LlamaCase], "Finding"]
