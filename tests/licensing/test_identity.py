"""Which terms govern: the table, the base model or the operator's statement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentkit.errors import SpecError
from agentkit.licensing import (
    KNOWN_MODELS,
    KnownModel,
    Modality,
    ModelIdentity,
    catalogue,
    decide,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkit.licensing import Deployment, Finding, LicenceDecision

SCOUT_NAME = "Llama-4-Scout-17B-16E-Instruct"
SCOUT = f"meta-llama/{SCOUT_NAME}"
PROMPT_GUARD = "meta-llama/Llama-Prompt-Guard-2-86M"


@pytest.mark.parametrize(
    ("identity", "rule", "cure"),
    [
        (ModelIdentity("acme/unknown-9b"), "model.unknown", "model.licence"),
        (ModelIdentity("acme/unknown-9b"), "model.unknown", "model.base_model"),
        (ModelIdentity(""), "model.unknown", "model.licence"),
        (ModelIdentity("openai/gpt-oss-20"), "model.unknown", "did you mean openai/gpt-oss-20b?"),
        (ModelIdentity(f"/models/{SCOUT}"), "model.unknown", f"did you mean {SCOUT}?"),
        (ModelIdentity("/models/x", licence="apache2"), "model.statement", "mean apache-2.0?"),
        (ModelIdentity("/models/x", licence="proprietary"), "model.statement", "Known: "),
        (ModelIdentity(SCOUT, licence="apache-2.0"), "model.statement", f"base_model: {SCOUT}"),
        (ModelIdentity(SCOUT, licence="llama3.1"), "model.statement", "publisher states"),
        (ModelIdentity(SCOUT, base_model="openai/gpt-oss-20b"), "model.base", "publisher states"),
        # a fine-tune of Llama 4 cannot be relicensed, nor a copy of it by its name alone
        (ModelIdentity("/m/x", licence="mit", base_model=SCOUT), "model.statement", "publisher"),
        (ModelIdentity(f"/m/{SCOUT}-GGUF", licence="mit"), "model.statement", "publisher states"),
        (
            ModelIdentity(f"/m/{SCOUT}-GGUF", base_model="openai/gpt-oss-20b"),
            "model.base",
            "publisher states",
        ),
        (
            ModelIdentity("/m/x", licence="mit", base_model=f"acme/{SCOUT}"),
            "model.statement",
            "publisher states",
        ),
        # a text-only model of the same licence does not make a multimodal one text-only
        *(
            (ModelIdentity(name, base_model=base), "model.base", "publisher states")
            for name, base in [
                (f"unsloth/{SCOUT_NAME}-GGUF", PROMPT_GUARD),
                ("unsloth/Llama-3.2-90B-Vision-Instruct", "meta-llama/Llama-3.2-1B-Instruct"),
                (PROMPT_GUARD, SCOUT),
                (PROMPT_GUARD, f"unsloth/{SCOUT_NAME}"),
                (PROMPT_GUARD, f"unsloth/{SCOUT_NAME}-GGUF"),
                ("openai/gpt-oss-20b", f"unsloth/{SCOUT_NAME}"),
            ]
        ),
        # a folder is no model of the hub, whatever it is called
        (
            ModelIdentity("openai/gpt-oss-20b", is_path=True),
            "model.unknown",
            "state model.base_model: openai/gpt-oss-20b",
        ),
        (ModelIdentity(SCOUT, licence="mit", is_path=True), "model.statement", "publisher states"),
        (
            ModelIdentity(f"./w/{SCOUT_NAME}", base_model="Qwen/Qwen3-30B-A3B", is_path=True),
            "model.base",
            "publisher states",
        ),
        (ModelIdentity("meta-llama/Llama-4-Behemoth"), "model.unreleased", "alternatives"),
        (
            ModelIdentity("/m/llama-4-behemoth-288b-16e", licence="llama4"),
            "model.unreleased",
            "alternatives",
        ),
        (ModelIdentity("/m/x", base_model="Llama 4 Behemoth"), "model.unreleased", "alternatives"),
    ],
)
def test_refused(
    judge: Callable[..., LicenceDecision],
    found: Callable[..., Finding],
    identity: ModelIdentity,
    rule: str,
    cure: str,
) -> None:
    decision = judge(identity)
    assert decision.outcome == "deny"
    assert cure in found(decision, rule).cure
    assert decision.licence is None
    assert decision.alternatives


def test_matching_ignores_case_and_nothing_else(judge: Callable[..., LicenceDecision]) -> None:
    assert judge(SCOUT.upper()).allowed
    assert judge(f" {SCOUT.lower()}\n").allowed
    assert not judge(SCOUT.replace("-", "_")).allowed
    assert not judge(SCOUT.removesuffix("-Instruct") + "-Chat").allowed


def test_a_fine_tune_inherits_terms_and_modality(judge: Callable[..., LicenceDecision]) -> None:
    tuned = ModelIdentity("/models/fjord", base_model=SCOUT)
    assert judge(tuned).licence == judge(SCOUT).licence
    assert judge(tuned).modality is Modality.MULTIMODAL
    assert judge(tuned).allowed
    assert judge(tuned, "DE").outcome == "deny"
    same = ModelIdentity("/models/fjord", base_model=SCOUT, licence="LLAMA4")
    assert judge(same).allowed


def test_a_statement_is_recorded_as_the_operators(
    judge: Callable[..., LicenceDecision], found: Callable[..., Finding]
) -> None:
    decision = judge(ModelIdentity("/models/x", licence="Apache-2.0"), "DE")
    assert decision.allowed
    finding = found(decision, "model.statement")
    assert finding.outcome == "record"
    assert "operator" in finding.clause


def test_a_stated_llama_counts_as_multimodal_and_supports_no_language(
    judge: Callable[..., LicenceDecision], found: Callable[..., Finding]
) -> None:
    stated = ModelIdentity("/models/x", licence="llama4")
    assert found(judge(stated, "DE"), "llama.eu_multimodal").outcome == "deny"
    assert "base_model" in found(judge(stated, "DE"), "llama.eu_multimodal").cure
    assert found(judge(stated), "llama.languages").outcome == "review"
    assert judge(stated, language_evaluations=("en",)).allowed


def test_an_unknown_base_model_is_reviewed(judge: Callable[..., LicenceDecision]) -> None:
    made = ModelIdentity("/models/x", licence="mit", base_model="acme/secret")
    assert judge(made).outcome == "review"
    assert judge(ModelIdentity("openai/gpt-oss-20b", base_model="acme/x")).outcome == "review"


def test_a_permissive_base_published_under_other_terms_is_reviewed(
    judge: Callable[..., LicenceDecision],
) -> None:
    made = ModelIdentity("/models/x", licence="mit", base_model="openai/gpt-oss-20b")
    assert judge(made).outcome == "review"
    assert judge(made).licence is not None
    assert judge(made).licence.licence_id == "mit"


@pytest.mark.parametrize(
    ("model_id", "outcome"),
    [
        ("llama4:scout", "review"),
        ("/models/nous-hermes-llama2-13b", "review"),
        ("acme/Llama-3-8B-fjord", "review"),
        ("MetaLlama-4-Scout", "review"),
        ("accounts/acme/models/llama-v3p2-90b-instruct", "review"),
        ("acme/TinyLlama-1.1B", "allow"),
        ("ollama/4bit-fjord", "allow"),
        ("acme/fjord-behemoth-llama", "allow"),
    ],
)
def test_a_name_that_speaks_of_llama_under_other_terms_is_reviewed(
    judge: Callable[..., LicenceDecision], model_id: str, outcome: str
) -> None:
    assert judge(ModelIdentity(model_id, licence="mit")).outcome == outcome


@pytest.mark.parametrize(
    ("model_id", "base_model", "outcome"),
    [
        ("acme/Llama-4-Scout-17B", "Qwen/Qwen3-30B-A3B", "review"),
        ("us.meta.llama4-scout-17b-instruct-v1:0", "Qwen/Qwen3-30B-A3B", "review"),
        ("acme/Llama-4-Scout-17B", PROMPT_GUARD, "review"),
        ("acme/Llama-4-Scout-17B", "meta-llama/Llama-3.1-8B", "review"),
        ("us.meta.llama3-2-90b-instruct-v1:0", "meta-llama/Llama-3.1-8B", "review"),
        ("us.meta.llama3-2-90b-vision", "meta-llama/Llama-3.2-1B", "review"),
        ("us.meta.llama3-2-1b-instruct-v1:0", "meta-llama/Llama-3.2-1B-Instruct", "allow"),
        ("acme/Llama-3-Fjord", "meta-llama/Llama-3.1-8B-Instruct", "allow"),
        ("acme/Llama-3-1B-Fjord", "meta-llama/Llama-3.2-1B-Instruct", "allow"),
        ("acme/Llama-Guard-Fjord", PROMPT_GUARD, "allow"),
    ],
)
def test_a_name_that_speaks_of_another_llama_than_its_base_is_reviewed(
    judge: Callable[..., LicenceDecision], model_id: str, base_model: str, outcome: str
) -> None:
    identity = ModelIdentity(model_id, base_model=base_model)
    assert judge(identity, "DE").outcome == outcome


def test_a_name_that_speaks_of_another_llama_than_its_stated_licence_is_reviewed(
    judge: Callable[..., LicenceDecision],
) -> None:
    facts = {"country": "DE", "language_evaluations": ("en",)}
    assert judge(ModelIdentity("acme/Llama-4-Fjord", licence="llama3.1"), **facts).obstacles
    assert judge(ModelIdentity("acme/Llama-3.1-Fjord", licence="llama3.1"), **facts).allowed


def test_a_folder_has_the_terms_of_its_base_model(judge: Callable[..., LicenceDecision]) -> None:
    folder = ModelIdentity("./weights/x", base_model=SCOUT, is_path=True)
    assert judge(folder).allowed
    assert judge(folder, "DE").outcome == "deny"


def test_a_base_whose_revisions_differ_is_reviewed(judge: Callable[..., LicenceDecision]) -> None:
    made = ModelIdentity("/models/x", base_model="arcee-ai/Trinity-Large-Thinking")
    assert judge(made).obstacles[0].rule == "model.revision"


def test_a_revision_whose_terms_were_not_read_is_reviewed(
    deploy: Callable[..., Deployment], judge: Callable[..., LicenceDecision]
) -> None:
    thinking = "arcee-ai/Trinity-Large-Thinking"
    assert judge(thinking).outcome == "review"
    assert judge(ModelIdentity(thinking, revision="abc")).outcome == "review"
    read = KnownModel("acme/m", "mit", revisions=frozenset({"abc"}))
    models = catalogue(KNOWN_MODELS.values(), [read])
    for revision, outcome in [("abc", "allow"), ("def", "review"), (None, "review")]:
        identity = ModelIdentity("acme/m", revision=revision)
        decision = decide(identity, deploy(), today=judge().table_date, models=models)
        assert decision.outcome == outcome


def test_an_unpinned_revision_is_recorded_with_its_cure(
    judge: Callable[..., LicenceDecision], found: Callable[..., Finding]
) -> None:
    assert found(judge(), "model.revision").cure.startswith("pin model.revision")
    pinned = judge(ModelIdentity(SCOUT, revision="92f3b1597a195b523d8d9e5700e57e4fbb8f20d3"))
    assert found(pinned, "model.revision").cure == ""


def test_a_catalogue_takes_only_licences_that_were_read() -> None:
    with pytest.raises(SpecError, match="'acme-1' is not in the table"):
        catalogue([KnownModel("acme/m", "acme-1")])
