"""Known models and the terms each was published under: a frozen table, matched by exact id.

Families change their terms between releases, so nothing is matched by family name: an id that is
not here is unknown and refused until the operator states its terms (``model.licence``) or what it
was made from (``model.base_model``). Matching ignores case and nothing else.

Sources: the publishers' model cards and licence files; ``terms.TABLE_DATE`` is the day of reading.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from agentkit.errors import SpecError
from agentkit.licensing.terms import LICENCES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "KNOWN_MODELS",
    "Catalogue",
    "KnownModel",
    "Modality",
    "ModelIdentity",
    "Purpose",
    "catalogue",
    "find_model",
    "namesake",
    "nearest_model",
]


class Modality(StrEnum):
    """What a model takes in; ``multimodal`` is a property of the model, not of its use."""

    TEXT = "text"
    MULTIMODAL = "multimodal"


class Purpose(StrEnum):
    """What a model is for; an alternative is offered only for the same purpose."""

    CHAT = "chat"
    BASE = "base"
    GUARD = "guard"
    CODE = "code"  # no weights


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """The model a deployment wants to run, as its operator names it.

    ``model_id``: hub id, path or name. ``revision``: commit, wheel version or content hash.
    ``licence``: the operator's statement of the terms. ``base_model``: what it was made from.
    """

    model_id: str
    revision: str | None = None
    licence: str | None = None
    base_model: str | None = None


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One published model.

    ``modality``: None where not known. ``languages``: those the card supports where the terms make
    others the developer's own responsibility, None where they do not. ``max_images``: how many
    images per prompt the publisher tested, None for no such statement. ``revisions``: those whose
    terms were read, None where one set of terms covers all; ``note``: why revisions matter.
    """

    model_id: str
    licence_id: str
    modality: Modality | None = Modality.TEXT
    purpose: Purpose = Purpose.CHAT
    languages: frozenset[str] | None = None
    max_images: int | None = None
    revisions: frozenset[str] | None = None
    note: str = ""


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


def catalogue(*groups: Iterable[KnownModel]) -> Catalogue:
    """Return a catalogue of the groups' models, keyed by folded id; a later one replaces.

    SpecError where a model's licence is not in the table.
    """
    models = [model for group in groups for model in group]
    for model in models:
        if model.licence_id not in LICENCES:
            raise SpecError(
                f"{model.model_id}: the licence {model.licence_id!r} is not in the table",
                cure=f"one of {', '.join(sorted(LICENCES))}",
            )
    return MappingProxyType({model.model_id.casefold(): model for model in models})


Catalogue = MappingProxyType[str, KnownModel]

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
        "llama2", Purpose.CHAT, "meta-llama/Llama-2-7b-chat-hf meta-llama/Llama-2-13b-chat-hf"
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


def find_model(model_id: str, models: Mapping[str, KnownModel] = KNOWN_MODELS) -> KnownModel | None:
    """Return the model of exactly this id, ignoring case; None where it is not in the table."""
    return models.get(model_id.strip().casefold())


def namesake(model_id: str, models: Mapping[str, KnownModel] = KNOWN_MODELS) -> KnownModel | None:
    """Return the known model whose name the last path component of ``model_id`` begins with.

    It identifies nothing (a name proves no origin) and is only ever used against a favourable
    statement, or to help in a cure.
    """
    name = model_id.strip().casefold().replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    return max(
        (m for key, m in models.items() if _begins(name, key.rsplit("/", 1)[-1])),
        key=lambda m: len(m.model_id),
        default=None,
    )


def _begins(name: str, known: str) -> bool:
    """Whether ``name`` is ``known``, or ``known`` with a suffix (``-GGUF``); V3.1 is not V3."""
    return name.startswith(known) and name[len(known) : len(known) + 1] in {"", "-", "_", ":", "@"}


def nearest_model(model_id: str, models: Mapping[str, KnownModel] = KNOWN_MODELS) -> str:
    """Return the id that was probably meant, empty where none is close."""
    close = difflib.get_close_matches(model_id.strip().casefold(), models, n=1, cutoff=0.85)
    return models[close[0]].model_id if close else ""
