"""One deployment that every licence permits; each test worsens or changes what it is about."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from agentkit.licensing import Deployment, ModelIdentity, Principal, decide

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkit.licensing import Finding, LicenceDecision

TODAY = date(2026, 11, 22)
SCOUT = "meta-llama/Llama-4-Scout-17B-16E-Instruct"
USUAL = {
    "role": "deployer",
    "access": "self_hosted",
    "distribution": "internal",
    "monthly_active_users": 40_000,
    "languages": ("en",),
    "trained_models": (),
    "images_per_prompt": 0,
    "uses_marks": False,
}
OF_PRINCIPAL = {"affiliates", "staff_countries", "kind", "name", "organisation_number"}


@pytest.fixture(scope="session")
def deploy() -> Callable[..., Deployment]:
    """Build a deployment that every licence permits, but for the facts given."""

    def build(country: str | None = "NO", **facts: object) -> Deployment:
        who: dict[str, object] = {"affiliates": (), "staff_countries": ()}
        who |= {key: facts.pop(key) for key in OF_PRINCIPAL & facts.keys()}
        principal = Principal(**{"name": "Fjordbank", "kind": "company", "country": country, **who})
        return Deployment(principal, **{**USUAL, **facts})

    return build


@pytest.fixture(scope="session")
def judge(deploy: Callable[..., Deployment]) -> Callable[..., LicenceDecision]:
    """Decide over a model (its id, or an identity) in such a deployment."""

    def decide_over(
        model: str | ModelIdentity = SCOUT, country: str | None = "NO", **facts: object
    ) -> LicenceDecision:
        identity = ModelIdentity(model) if isinstance(model, str) else model
        today = facts.pop("today", TODAY)
        return decide(identity, deploy(country, **facts), today=today)

    return decide_over


@pytest.fixture(scope="session")
def found() -> Callable[..., Finding]:
    """Return a decision's one finding of a rule."""

    def finding(decision: LicenceDecision, rule: str) -> Finding:
        (only,) = [item for item in decision.findings if item.rule == rule]
        return only

    return finding


@pytest.fixture(scope="session")
def holds(
    judge: Callable[..., LicenceDecision], found: Callable[..., Finding]
) -> Callable[..., None]:
    """Check that a rule says an outcome over some facts, and that an obstacle has its cure."""

    def check(rule: str, outcome: str, facts: dict[str, object]) -> None:
        decision = judge(**facts)
        finding = found(decision, rule)
        assert finding.outcome == outcome
        assert finding.clause
        if outcome in {"review", "deny"}:
            assert finding.cure
            assert finding in decision.obstacles
            assert not decision.allowed

    return check
