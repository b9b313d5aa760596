"""Every row on other models: which licence, which modality, and what that means in the Union."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentkit.licensing import KNOWN_MODELS, LICENCES, Modality, find_licence, find_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkit.licensing import Finding, LicenceDecision


@pytest.mark.parametrize(
    ("model_id", "licence_id", "modality"),
    [
        ("meta-llama/Llama-4-Scout-17B-16E", "llama4", "multimodal"),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "llama4", "multimodal"),
        ("meta-llama/Llama-4-Maverick-17B-128E", "llama4", "multimodal"),
        ("meta-llama/Llama-4-Maverick-17B-128E-Instruct", "llama4", "multimodal"),
        ("meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8", "llama4", "multimodal"),
        ("meta-llama/Llama-Guard-4-12B", "llama4", "multimodal"),
        ("meta-llama/Llama-Prompt-Guard-2-86M", "llama4", "text"),
        ("meta-llama/Llama-Prompt-Guard-2-22M", "llama4", "text"),
        ("meta-llama/Llama-Guard-3-1B", "llama3.2", "text"),
        ("meta-llama/Llama-Guard-3-8B", "llama3.1", "text"),
        ("meta-llama/Llama-Guard-3-11B-Vision", "llama3.2", "multimodal"),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama3.3", "text"),
        ("meta-llama/Llama-3.2-1B-Instruct", "llama3.2", "text"),
        ("meta-llama/Llama-3.2-3B-Instruct", "llama3.2", "text"),
        ("meta-llama/Llama-3.2-11B-Vision-Instruct", "llama3.2", "multimodal"),
        ("meta-llama/Llama-3.2-90B-Vision-Instruct", "llama3.2", "multimodal"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama3.1", "text"),
        ("meta-llama/Meta-Llama-3-8B-Instruct", "llama3", "text"),
        ("meta-llama/Llama-2-7b-chat-hf", "llama2", "text"),
        ("PurpleLlama/LlamaFirewall", "mit", "text"),
        ("PurpleLlama/CodeShield", "mit", "text"),
        ("PurpleLlama/CybersecurityBenchmarks", "mit", "text"),
        ("google/gemma-4-E2B-it", "apache-2.0", "multimodal"),
        ("deepseek-ai/DeepSeek-V4-Pro", "mit", "text"),
        ("deepseek-ai/DeepSeek-V4-Flash", "mit", "text"),
        ("deepseek-ai/DeepSeek-V3", "deepseek-1.0", "text"),
        ("zai-org/GLM-4.5", "mit", "text"),
        ("allenai/OLMoE-1B-7B-0924", "apache-2.0", "text"),
        ("Qwen/Qwen3-30B-A3B", "apache-2.0", "text"),
        ("ibm-granite/granite-4.0-h-tiny", "apache-2.0", "text"),
        ("openai/gpt-oss-20b", "apache-2.0", "text"),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", "apache-2.0", "text"),
        ("arcee-ai/Trinity-Large-Preview", "apache-2.0", "text"),
        ("arcee-ai/Trinity-Large-Thinking", "openmdw-1.1", "text"),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0", "text"),
        ("agentkit/smollm2-135m-upcycled", "apache-2.0", "text"),
    ],
)
def test_model(model_id: str, licence_id: str, modality: str) -> None:
    model = find_model(model_id, KNOWN_MODELS)
    assert model is not None
    assert (model.licence_id, model.modality) == (licence_id, modality)


@pytest.mark.parametrize(
    ("version", "eu_clause", "bars_improving", "display"),
    [
        ("llama2", False, True, ""),
        ("llama3", False, True, "Built with Meta Llama 3"),
        ("llama3.1", False, False, "Built with Llama"),
        ("llama3.2", True, False, "Built with Llama"),
        ("llama3.3", True, False, "Built with Llama"),
        ("llama4", True, False, "Built with Llama"),
    ],
)
def test_llama_version(
    version: str, *, eu_clause: bool, bars_improving: bool, display: str
) -> None:
    terms = LICENCES[version].llama
    assert terms is not None
    assert (terms.eu_clause, terms.bars_improving_others) == (eu_clause, bars_improving)
    assert terms.display == display


def test_every_model_has_a_licence_and_stands_under_its_own_id() -> None:
    for key, model in KNOWN_MODELS.items():
        assert key == model.model_id.casefold()
        assert find_licence(model.licence_id) is not None
        assert isinstance(model.modality, Modality)


def test_the_apache_text_is_the_one_this_project_ships() -> None:
    text = (Path(__file__).parents[2] / "LICENSE").read_bytes()
    assert hashlib.sha256(text).hexdigest() == LICENCES["apache-2.0"].text_sha256


@pytest.mark.parametrize(
    "model_id",
    ["agentkit/smollm2-135m-upcycled", "openai/gpt-oss-20b", "deepseek-ai/DeepSeek-V4-Pro"],
)
@pytest.mark.parametrize("country", ["DE", "NO", "US", None])
def test_permissive_models_are_permitted_anywhere_at_any_size(
    judge: Callable[..., LicenceDecision], model_id: str, country: str | None
) -> None:
    facts = {"monthly_active_users": None, "languages": (), "affiliates": None}
    assert judge(model_id, country, **facts).allowed
    assert judge(model_id, country, declared_uses=("military",)).allowed  # law binds, terms do not


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        ({"distribution": "internal"}, "allow"),
        ({"distribution": "hosted_api"}, "allow"),
        ({"distribution": "product", "ships_licence": True}, "allow"),
        ({"distribution": "product", "ships_licence": False}, "deny"),
        ({"distribution": "product"}, "review"),
        ({"distribution": None}, "review"),
    ],
)
@pytest.mark.parametrize("model_id", ["openai/gpt-oss-20b", "zai-org/GLM-4.5"])
def test_permissive_copies_carry_their_licence(
    judge: Callable[..., LicenceDecision], model_id: str, facts: dict[str, object], outcome: str
) -> None:
    assert judge(model_id, **facts).outcome == outcome


@pytest.mark.parametrize(
    ("facts", "outcome", "rule"),
    [
        ({}, "allow", "use_restricted.passed_on"),
        ({"declared_uses": ("military",)}, "deny", "use_restricted.aup.military"),
        (
            {"declared_uses": ("sensitive_personal_data",)},
            "review",
            "use_restricted.aup.sensitive_personal_data",
        ),
        ({"declared_uses": ("pose_as_human",)}, "allow", "use_restricted.aup.pose_as_human"),
        (
            {"distribution": "hosted_api", "ships_licence": True},
            "review",
            "use_restricted.passed_on",
        ),
        (
            {"distribution": "product", "ships_licence": False},
            "deny",
            "use_restricted.copy_of_licence",
        ),
    ],
)
def test_deepseek_v3_has_terms_of_its_own(
    judge: Callable[..., LicenceDecision],
    found: Callable[..., Finding],
    facts: dict[str, object],
    outcome: str,
    rule: str,
) -> None:
    decision = judge("deepseek-ai/DeepSeek-V3", **facts)
    assert decision.outcome == outcome
    assert found(decision, rule).clause.startswith("DeepSeek License Agreement 1.0")
