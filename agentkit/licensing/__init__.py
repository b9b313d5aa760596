"""May this principal run this model revision? Terms, domicile, and a decision with its clauses.

Pure and deterministic: no network, no clock but the ``today`` that is given, no heavy import.
Not legal advice; see ``docs/licensing.md``.
"""

from agentkit.licensing.acceptable_use import DeclaredUse
from agentkit.licensing.countries import Domain, Zone, domain, parse_country
from agentkit.licensing.decision import Alternative, LicenceDecision, decide
from agentkit.licensing.findings import Finding, Outcome
from agentkit.licensing.model_table import KNOWN_MODELS
from agentkit.licensing.models import (
    Catalogue,
    KnownModel,
    Modality,
    ModelIdentity,
    Purpose,
    catalogue,
    find_model,
)
from agentkit.licensing.principal import (
    Access,
    Deployment,
    Distribution,
    Principal,
    PrincipalKind,
    Review,
    Role,
    TrainedModel,
)
from agentkit.licensing.terms import LICENCES, TABLE_DATE, Family, Licence, LlamaTerms, find_licence

__all__ = [
    "KNOWN_MODELS",
    "LICENCES",
    "TABLE_DATE",
    "Access",
    "Alternative",
    "Catalogue",
    "DeclaredUse",
    "Deployment",
    "Distribution",
    "Domain",
    "Family",
    "Finding",
    "KnownModel",
    "Licence",
    "LicenceDecision",
    "LlamaTerms",
    "Modality",
    "ModelIdentity",
    "Outcome",
    "Principal",
    "PrincipalKind",
    "Purpose",
    "Review",
    "Role",
    "TrainedModel",
    "Zone",
    "catalogue",
    "decide",
    "domain",
    "find_licence",
    "find_model",
    "parse_country",
]
