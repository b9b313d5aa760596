"""What is known of a model, and how an operator's name for one is looked up.

Families change their terms between releases, so nothing is matched by family name: an id that is
not here is unknown and refused until the operator states its terms (``model.licence``) or what it
was made from (``model.base_model``). Matching ignores case and nothing else.
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
    ``is_path``: ``model_id`` is a folder; whatever it is called, it is no id of the hub.
    """

    model_id: str
    revision: str | None = None
    licence: str | None = None
    base_model: str | None = None
    is_path: bool = False


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


def find_model(model_id: str, models: Mapping[str, KnownModel]) -> KnownModel | None:
    """Return the model of exactly this id, ignoring case; None where it is not in the table."""
    return models.get(model_id.strip().casefold())


def namesake(model_id: str, models: Mapping[str, KnownModel]) -> KnownModel | None:
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


def nearest_model(model_id: str, models: Mapping[str, KnownModel]) -> str:
    """Return the id that was probably meant, empty where none is close."""
    close = difflib.get_close_matches(model_id.strip().casefold(), models, n=1, cutoff=0.85)
    return models[close[0]].model_id if close else ""
