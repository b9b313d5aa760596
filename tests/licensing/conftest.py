"""One deployment that every licence permits; each test worsens or changes what it is about."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from agentkit.licensing import Deployment, ModelIdentity, Principal, decide

if TYPE_CHECKING:
    from agentkit.licensing import Finding, LicenceDecision

TODAY = date(2026, 11, 22)
SCOUT = "meta-llama/Llama-4-Scout-17B-16E-Instruct"
_PRINCIPAL = {"affiliates", "staff_countries", "kind", "name", "organisation_number"}


class Judge(Protocol):
    def __call__(
        self, model: str | ModelIdentity = ..., country: str | None = ..., **facts: Any
    ) -> LicenceDecision: ...


@pytest.fixture(scope="session")
def judge() -> Judge:
    def decide_over(
        model: str | ModelIdentity = SCOUT, country: str | None = "NO", **facts: Any
    ) -> LicenceDecision:
        identity = ModelIdentity(model) if isinstance(model, str) else model
        today = facts.pop("today", TODAY)
        who = {key: facts.pop(key) for key in _PRINCIPAL & facts.keys()}
        principal = Principal(**{"name": "Fjordbank", "kind": "company", "country": country, **who})
        usual = {
            "role": "deployer",
            "access": "self_hosted",
            "distribution": "internal",
            "monthly_active_users": 40_000,
            "languages": ("en",),
        }
        return decide(identity, Deployment(principal, **{**usual, **facts}), today=today)

    return decide_over


@pytest.fixture(scope="session")
def found() -> Any:
    def finding(decision: LicenceDecision, rule: str) -> Finding:
        (only,) = [item for item in decision.findings if item.rule == rule]
        return only

    return finding
