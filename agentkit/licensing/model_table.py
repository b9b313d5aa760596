"""Known models and the terms each was published under: a frozen table, read on ``TABLE_DATE``.

To add a model, read the licence file of the revision you mean, add its exact hub id to the group
of its licence, purpose and modality, and extend ``tests/licensing/test_model_table.py``.

Sources: the publishers' model cards and licence files.
"""

from __future__ import annotations

from agentkit.licensing.models import Catalogue, KnownModel, Modality, Purpose, catalogue

__all__ = ["KNOWN_MODELS"]

_LLAMA4_LANGUAGES = frozenset(
    {"ar", "en", "fr", "de", "hi", "id", "it", "pt", "es", "tl", "th", "vi"}
)  # Llama 4 model card
# Llama 3.1, 3.2 and 3.3 model cards
_LLAMA3_LANGUAGES = frozenset({"en", "de", "fr", "it", "pt", "hi", "es", "th"})


def _models(
    licence_id: str,
    purpose: Purpose,
    ids: str,
    *,
    modality: Modality = Modality.TEXT,
    languages: frozenset[str] | None = None,
    max_images: int | None = None,
) -> tuple[KnownModel, ...]:
    return tuple(
        KnownModel(name, licence_id, modality, purpose, languages, max_images)
        for name in ids.split()
    )


_LLAMA = (
    *_models(
        "llama4",
        Purpose.CHAT,
        "meta-llama/Llama-4-Scout-17B-16E-Instruct meta-llama/Llama-4-Maverick-17B-128E-Instruct"
        " meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8",
        modality=Modality.MULTIMODAL,
        languages=_LLAMA4_LANGUAGES,
        max_images=5,
    ),
    *_models(
        "llama4",
        Purpose.BASE,
        "meta-llama/Llama-4-Scout-17B-16E meta-llama/Llama-4-Maverick-17B-128E",
        modality=Modality.MULTIMODAL,
        languages=_LLAMA4_LANGUAGES,
        max_images=5,
    ),
    *_models(
        "llama4",
        Purpose.GUARD,
        "meta-llama/Llama-Guard-4-12B",
        modality=Modality.MULTIMODAL,
    ),
    *_models(
        "llama4",
        Purpose.GUARD,
        "meta-llama/Llama-Prompt-Guard-2-86M meta-llama/Llama-Prompt-Guard-2-22M",
    ),
    *_models(
        "llama3.3",
        Purpose.CHAT,
        "meta-llama/Llama-3.3-70B-Instruct",
        languages=_LLAMA3_LANGUAGES,
    ),
    *_models(
        "llama3.2",
        Purpose.CHAT,
        "meta-llama/Llama-3.2-1B-Instruct meta-llama/Llama-3.2-3B-Instruct",
        languages=_LLAMA3_LANGUAGES,
    ),
    *_models(
        "llama3.2",
        Purpose.BASE,
        "meta-llama/Llama-3.2-1B meta-llama/Llama-3.2-3B",
        languages=_LLAMA3_LANGUAGES,
    ),
    *_models(
        "llama3.2",
        Purpose.CHAT,
        "meta-llama/Llama-3.2-11B-Vision-Instruct meta-llama/Llama-3.2-90B-Vision-Instruct",
        modality=Modality.MULTIMODAL,
        languages=_LLAMA3_LANGUAGES,
    ),
    *_models(
        "llama3.2",
        Purpose.BASE,
        "meta-llama/Llama-3.2-11B-Vision meta-llama/Llama-3.2-90B-Vision",
        modality=Modality.MULTIMODAL,
        languages=_LLAMA3_LANGUAGES,
    ),
    *_models(
        "llama3.2",
        Purpose.GUARD,
        "meta-llama/Llama-Guard-3-1B meta-llama/Llama-Guard-3-1B-INT4",
    ),
    *_models(
        "llama3.2",
        Purpose.GUARD,
        "meta-llama/Llama-Guard-3-11B-Vision",
        modality=Modality.MULTIMODAL,
    ),
    # "The same license as Llama 3.1 applies": PurpleLlama, Llama-Guard3/8B/README.md.
    *_models(
        "llama3.1",
        Purpose.GUARD,
        "meta-llama/Llama-Guard-3-8B meta-llama/Llama-Guard-3-8B-INT8",
    ),
    *_models(
        "llama3.1",
        Purpose.CHAT,
        "meta-llama/Llama-3.1-8B-Instruct meta-llama/Llama-3.1-70B-Instruct"
        " meta-llama/Llama-3.1-405B-Instruct",
        languages=_LLAMA3_LANGUAGES,
    ),
    *_models(
        "llama3.1",
        Purpose.BASE,
        "meta-llama/Llama-3.1-8B meta-llama/Llama-3.1-70B meta-llama/Llama-3.1-405B",
        languages=_LLAMA3_LANGUAGES,
    ),
    *_models(
        "llama3",
        Purpose.CHAT,
        "meta-llama/Meta-Llama-3-8B-Instruct meta-llama/Meta-Llama-3-70B-Instruct",
        languages=frozenset({"en"}),
    ),
    *_models(
        "llama2",
        Purpose.CHAT,
        "meta-llama/Llama-2-7b-chat-hf meta-llama/Llama-2-13b-chat-hf",
        languages=frozenset({"en"}),
    ),
)

_OPEN = (
    *_models(
        "apache-2.0",
        Purpose.CHAT,
        "agentkit/smollm2-135m-upcycled HuggingFaceTB/SmolLM2-135M-Instruct"
        " HuggingFaceTB/SmolLM2-360M-Instruct HuggingFaceTB/SmolLM2-1.7B-Instruct"
        " Qwen/Qwen3-30B-A3B Qwen/Qwen3-30B-A3B-FP8 Qwen/Qwen3-30B-A3B-Instruct-2507"
        " Qwen/Qwen3-30B-A3B-Thinking-2507 Qwen/Qwen3-235B-A22B"
        " Qwen/Qwen3-235B-A22B-Instruct-2507 Qwen/Qwen3-235B-A22B-Thinking-2507"
        " Qwen/Qwen3-Coder-30B-A3B-Instruct allenai/OLMoE-1B-7B-0924-Instruct"
        " allenai/OLMoE-1B-7B-0125-Instruct mistralai/Mixtral-8x7B-Instruct-v0.1"
        " mistralai/Mixtral-8x22B-Instruct-v0.1 openai/gpt-oss-20b openai/gpt-oss-120b"
        " ibm-granite/granite-3.1-1b-a400m-instruct ibm-granite/granite-3.1-3b-a800m-instruct"
        " ibm-granite/granite-4.0-h-tiny ibm-granite/granite-4.0-h-small"
        " arcee-ai/Trinity-Large-Preview",
    ),
    *_models(
        "apache-2.0",
        Purpose.CHAT,
        "google/gemma-4-E2B-it google/gemma-4-E4B-it google/gemma-4-12B-it"
        " google/gemma-4-26B-A4B-it google/gemma-4-31B-it",
        modality=Modality.MULTIMODAL,
    ),
    *_models(
        "apache-2.0",
        Purpose.BASE,
        "HuggingFaceTB/SmolLM2-135M Qwen/Qwen3-30B-A3B-Base allenai/OLMoE-1B-7B-0924"
        " allenai/OLMoE-1B-7B-0125 mistralai/Mixtral-8x7B-v0.1 mistralai/Mixtral-8x22B-v0.1"
        " ibm-granite/granite-3.1-1b-a400m-base ibm-granite/granite-3.1-3b-a800m-base",
    ),
    *_models(
        "mit",
        Purpose.CHAT,
        "deepseek-ai/DeepSeek-V4-Pro deepseek-ai/DeepSeek-V4-Flash zai-org/GLM-4.5"
        " deepseek-ai/DeepSeek-V3-0324 deepseek-ai/DeepSeek-V3.1 deepseek-ai/DeepSeek-V3.2-Exp"
        " zai-org/GLM-4.5-Air",
    ),
    # The code of PurpleLlama is MIT, its weights are not.
    *_models(
        "mit",
        Purpose.CODE,
        "PurpleLlama/LlamaFirewall PurpleLlama/CodeShield PurpleLlama/CybersecurityBenchmarks",
    ),
    *_models("deepseek-1.0", Purpose.CHAT, "deepseek-ai/DeepSeek-V3"),
    *_models("deepseek-1.0", Purpose.BASE, "deepseek-ai/DeepSeek-V3-Base"),
    KnownModel(
        "arcee-ai/Trinity-Large-Thinking",
        "openmdw-1.1",
        revisions=frozenset(),
        note="announced under Apache-2.0, its repository has also held an OpenMDW-1.1 text",
    ),
)

KNOWN_MODELS: Catalogue = catalogue(_LLAMA, _OPEN)
