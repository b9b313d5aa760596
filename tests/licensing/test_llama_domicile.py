"""Every row of the European Union paragraph and the preamble."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkit.licensing import Finding, LicenceDecision

PROMPT_GUARD = "meta-llama/Llama-Prompt-Guard-2-86M"
LLAMA_31 = "meta-llama/Llama-3.1-8B-Instruct"
LLAMA_33 = "meta-llama/Llama-3.3-70B-Instruct"
LLAMA_32_VISION = "meta-llama/Llama-3.2-11B-Vision-Instruct"
LLAMA_3 = "meta-llama/Meta-Llama-3-8B-Instruct"
LLAMA_2 = "meta-llama/Llama-2-7b-chat-hf"
EU = "llama.eu_multimodal"


def _row(clause: str, rule: str, outcome: str, **facts: object) -> tuple[object, ...]:
    return pytest.param(rule, outcome, facts, id=clause)


COUNTERPARTY = [
    _row(f"preamble: {code}", "llama.counterparty", "record", country=code)
    for code in ("NO", "DE", "CH", "GB", "US", None)
]

EVIDENCE = {
    "role": "end_user",
    "access": "managed_api",
    "end_user_evidence": "Notes 4 by Nordsoft AS",
}
DOMICILE = [
    *(
        _row(f"EU: company, {role}", EU, "deny", country="DE", role=role)
        for role in ("developer", "deployer", "distributor", "fine_tuner")
    ),
    *(
        _row(f"EU: individual, {role}", EU, "deny", country="SE", role=role, kind="individual")
        for role in ("developer", "deployer", "distributor", "fine_tuner")
    ),
    _row("EU: territory with its own code", EU, "deny", country="AX"),
    _row("EU: Greece as EL", EU, "deny", country="EL"),
    _row("EU: access unknown", EU, "deny", country="FR", access=None),
    _row("EU: end user with evidence", EU, "allow", country="DE", **EVIDENCE),
    _row("EU: end user without evidence", EU, "review", country="DE", role="end_user", access=None),
    _row(
        "EU: end user with blank evidence",
        EU,
        "review",
        country="DE",
        **{**EVIDENCE, "end_user_evidence": " "},
    ),
    _row(
        "EU: end user who hosts", EU, "deny", country="DE", **{**EVIDENCE, "access": "self_hosted"}
    ),
    _row(
        "EU: end user who passes it on",
        EU,
        "deny",
        country="DE",
        distribution="product",
        **EVIDENCE,
    ),
    _row(
        "EU: end user, distribution unknown",
        EU,
        "review",
        country="DE",
        distribution=None,
        **EVIDENCE,
    ),
    _row(
        "EU: end user, access unknown", EU, "review", country="DE", **{**EVIDENCE, "access": None}
    ),
    _row("EU: managed API", EU, "review", country="DE", access="managed_api"),
    _row(
        "EU: managed API, developer",
        EU,
        "review",
        country="DE",
        access="managed_api",
        role="developer",
    ),
    _row(
        "EU: managed API, fine-tuner",
        EU,
        "deny",
        country="DE",
        access="managed_api",
        role="fine_tuner",
    ),
    _row("EU ties: affiliate", EU, "review", affiliates=("DE", "US")),
    _row("EU ties: staff", EU, "review", staff_countries=("PL",)),
    _row("EU ties: territory", EU, "review", affiliates=("RE",)),
    _row("EU ties: affiliates unknown", EU, "review", affiliates=None),
    _row("EU ties: staff unknown", EU, "review", staff_countries=None),
    _row("EU ties: none inside", EU, "allow", affiliates=("US", "GL"), staff_countries=("GB",)),
    _row("country unknown", EU, "review", country=None),
    *(
        _row(f"outside: {code}", EU, "allow", country=code)
        for code in ("NO", "IS", "LI", "CH", "GB", "US", "GL", "SJ")
    ),
    _row("text-only: Prompt Guard 2", EU, "record", country="DE", model=PROMPT_GUARD),
    _row("text-only: Llama 3.3", EU, "record", country="DE", model=LLAMA_33),
    _row("absent in Llama 3.1", EU, "record", country="DE", model=LLAMA_31),
    _row("absent in Llama 3", EU, "record", country="DE", model=LLAMA_3),
    _row("absent in Llama 2", EU, "record", country="DE", model=LLAMA_2),
    _row("present in Llama 3.2", EU, "deny", country="DE", model=LLAMA_32_VISION),
    _row("Llama Guard 4", EU, "deny", country="DE", model="meta-llama/Llama-Guard-4-12B"),
    _row(
        "Llama Guard 3 11B vision",
        EU,
        "deny",
        country="DE",
        model="meta-llama/Llama-Guard-3-11B-Vision",
    ),
    _row("Llama Guard 3 1B", EU, "record", country="DE", model="meta-llama/Llama-Guard-3-1B"),
    _row("Llama Guard 3 8B", EU, "record", country="DE", model="meta-llama/Llama-Guard-3-8B"),
]


@pytest.mark.parametrize(("rule", "outcome", "facts"), [*COUNTERPARTY, *DOMICILE])
def test_row(holds: Callable[..., None], rule: str, outcome: str, facts: dict[str, object]) -> None:
    holds(rule, outcome, facts)


@pytest.mark.parametrize(
    ("country", "party"),
    [
        ("NO", "Meta Platforms Ireland Limited"),
        ("DE", "Meta Platforms Ireland Limited"),
        ("CH", "Meta Platforms Ireland Limited"),
        ("GB", "Meta Platforms, Inc."),
        ("US", "Meta Platforms, Inc."),
    ],
)
def test_counterparty(
    judge: Callable[..., LicenceDecision], found: Callable[..., Finding], country: str, party: str
) -> None:
    reason = found(judge(country=country), "llama.counterparty").reason
    assert reason == f"use is acceptance; the counterparty is {party}"
