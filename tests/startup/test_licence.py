"""What agent.yaml says reaches the licence decision: names, bases, facts, for every model."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from agentkit.spec import load_spec
from agentkit.startup import decide_licences

if TYPE_CHECKING:
    from pathlib import Path

    from agentkit.licensing import LicenceDecision

TODAY = date(2026, 11, 22)
FACTS = "  distribution: internal\n  languages: [en]\n  monthly_active_users: 100\n"
REVISION = f"revision: '{'0' * 40}'"
SCOUT_NAME = "Llama-4-Scout-17B-16E-Instruct"
PROMPT_GUARD = "meta-llama/Llama-Prompt-Guard-2-86M"
SERVER = "url: 'http://127.0.0.1:9/v1', access: self_hosted"


def decide(
    folder: Path, model: str, *, country: str = "NO", facts: str = FACTS, rest: str = ""
) -> tuple[LicenceDecision, ...]:
    path = folder / "agent.yaml"
    who = f"name: Fjordtall, kind: company, country: {country}, affiliates: [], staff_countries: []"
    path.write_text(
        f"version: 1\nname: test\nmodel: {{{model}}}\ndeployment:\n  principal: {{{who}}}\n"
        f"{facts}{rest}"
    )
    return decide_licences(load_spec(path).spec, TODAY)


@pytest.mark.parametrize("grant", ["llama4:META-1", "llama4: by letter: 7", "a b:c"])
def test_every_grant_and_country_of_a_file_is_one_for_the_rules(tmp_path: Path, grant: str) -> None:
    (decision,) = decide(
        tmp_path, "source: embedded", country="UK", facts=f"{FACTS}  grants: ['{grant}']\n"
    )
    assert decision.allowed


SCOUT = f"source: local, id: meta-llama/{SCOUT_NAME}, {REVISION}"
PRODUCT = (
    "  distribution: product\n  languages: [en]\n  monthly_active_users: 100\n"
    "  ships_licence: true\n  attribution: Built with Llama\n  uses_marks: false\n"
)
NOTICE = (
    "Llama 4 is licensed under the Llama 4 Community License, "
    "Copyright © Meta Platforms, Inc. All Rights Reserved."
)


def test_a_product_with_llama_starts_with_its_notice_file_and_not_without(tmp_path: Path) -> None:
    (without,) = decide(tmp_path, SCOUT, facts=PRODUCT)
    assert [found.rule for found in without.obstacles] == ["llama.notice_file"]
    (decision,) = decide(tmp_path, SCOUT, facts=f"{PRODUCT}  notice: |\n    {NOTICE}\n")
    assert decision.allowed
    assert NOTICE in decision.required_notices


def test_a_fine_tuner_can_state_the_models_it_makes(tmp_path: Path) -> None:
    facts = f"{FACTS}  role: fine_tuner\n"
    (unstated,) = decide(tmp_path, SCOUT, facts=facts)
    assert [found.rule for found in unstated.obstacles] == ["llama.name_prefix"]
    made = "  trained_models: [{{name: fjord/{}, distributed: true}}]\n"
    (named,) = decide(tmp_path, SCOUT, facts=facts + made.format("Llama-Fjord"))
    assert named.allowed
    (misnamed,) = decide(tmp_path, SCOUT, facts=facts + made.format("Fjord"))
    assert misnamed.outcome == "deny"


@pytest.mark.parametrize(
    ("fact", "rule"),
    [
        ("ip_suit: true", "llama.ip_suit"),
        ("terminated: true", "llama.termination"),
        ("uses_marks: true", "llama.trademark"),
    ],
)
def test_a_fact_of_the_file_reaches_its_rule(tmp_path: Path, fact: str, rule: str) -> None:
    (decision,) = decide(tmp_path, SCOUT, facts=f"{FACTS}  {fact}\n")
    assert [found.rule for found in decision.obstacles] == [rule]


def test_who_received_an_integrated_product_need_not_count_its_users(tmp_path: Path) -> None:
    facts = FACTS.replace("monthly_active_users: 100", "integrated_product: true")
    (decision,) = decide(tmp_path, SCOUT, facts=facts)
    assert decision.allowed


def test_the_record_asserts_nothing_that_the_file_does_not_say(tmp_path: Path) -> None:
    (decision,) = decide(tmp_path, SCOUT)
    assert decision.allowed
    reasons = {found.rule: found.reason for found in decision.findings}
    for rule in ("name_prefix", "trademark", "ip_suit", "termination", "integrated_product"):
        assert "not stated" in reasons[f"llama.{rule}"]
    (decision,) = decide(tmp_path, SCOUT, facts=f"{FACTS}  trained_models: []\n")
    reasons = {found.rule: found.reason for found in decision.findings}
    assert reasons["llama.name_prefix"] == "no model is improved with it"


def test_internal_use_of_a_permissive_model_needs_no_more_than_the_smallest_file(
    tmp_path: Path,
) -> None:
    (decision,) = decide(tmp_path, "source: embedded", facts="  distribution: internal\n")
    assert decision.allowed


def guard(version: int, model_id: str, base_model: str) -> str:
    return (
        f"guards: {{llama_guard: {{version: {version}, {SERVER}, id: {model_id}, "
        f"base_model: {base_model}}}}}\n"
    )


@pytest.mark.parametrize(
    ("model", "outcome"),
    [
        (f"path: ./weights/{SCOUT_NAME}, base_model: Qwen/Qwen3-30B-A3B", "deny"),
        (f"path: ./weights/{SCOUT_NAME}, licence: apache-2.0", "deny"),
        ("path: openai/gpt-oss-20b", "deny"),
        ("path: ./weights/fjord, base_model: openai/gpt-oss-20b", "allow"),
        (f"id: x/{SCOUT_NAME}-GGUF, {REVISION}, base_model: {PROMPT_GUARD}", "deny"),
        (f"id: x/Llama-4-Scout-17B, {REVISION}, base_model: Qwen/Qwen3-30B-A3B", "review"),
    ],
)
def test_no_base_model_talks_a_folder_or_an_id_out_of_its_name(
    tmp_path: Path, model: str, outcome: str
) -> None:
    (decision,) = decide(tmp_path, f"source: local, {model}", country="DE")
    assert decision.outcome == outcome


def test_the_decision_names_the_folder_and_not_its_base(tmp_path: Path) -> None:
    (decision,) = decide(tmp_path, "source: local, path: ./w, base_model: openai/gpt-oss-20b")
    assert decision.model.model_id == "./w"
    assert decision.model.is_path


def test_llama_guard_has_the_terms_of_its_base_model(tmp_path: Path) -> None:
    rest = guard(3, "my-guard", "meta-llama/Llama-Guard-3-8B")
    _, decision = decide(tmp_path, "source: embedded", rest=rest)
    assert decision.allowed
    assert decision.licence is not None
    assert decision.licence.licence_id == "llama3.1"


def test_a_base_model_contradicts_llama_guards_id_as_it_does_the_models(tmp_path: Path) -> None:
    rest = guard(4, "openai/gpt-oss-20b", "meta-llama/Llama-Guard-4-12B")
    _, decision = decide(tmp_path, "source: embedded", country="DE", rest=rest)
    assert decision.outcome == "deny"
    remote = f"source: remote, {SERVER}, id: openai/gpt-oss-20b"
    base = "base_model: meta-llama/Llama-Guard-4-12B"
    (of_model,) = decide(tmp_path, f"{remote}, {base}", country="DE")
    assert of_model.obstacles == decision.obstacles
