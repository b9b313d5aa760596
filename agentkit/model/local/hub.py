"""Fetch one revision of a model from the Hugging Face hub: safetensors, JSON and tokenizer only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from agentkit.errors import ModelError
from agentkit.model.local.quiet import quiet_transformers

if TYPE_CHECKING:
    from agentkit.progress import Progress

__all__ = ["fetch_snapshot"]

_PATTERNS = ["*.safetensors", "*.safetensors.index.json", "*.json", "tokenizer*", "LICENSE*"]


def fetch_snapshot(model_id: str, revision: str, *, progress: Progress) -> Path:
    """Return the local directory of ``model_id`` at ``revision``; its name is the commit id.

    What is already in the hub client's cache is not fetched again. Raises ``ModelError``.
    """
    place = f"{model_id}@{revision}"
    progress("download", 0, 1)
    try:
        with quiet_transformers():
            directory = snapshot_download(model_id, revision=revision, allow_patterns=_PATTERNS)
    except GatedRepoError as error:
        raise ModelError(
            "the hub gives this model only to accounts that accepted its licence",
            cure="accept the licence on the model's page and set HF_TOKEN to your access token",
            place=place,
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(
            "the hub has this model, but not this revision",
            cure="take a commit id from 'Files and versions' of the model's page",
            place=place,
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            "the hub has no such model, or it is private",
            cure="check the id; for a private model set HF_TOKEN; a local directory must exist",
            place=place,
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, httpx.HTTPError, OSError, ValueError) as error:
        raise ModelError(
            f"the hub cannot be reached, and the model is not in its local cache"
            f" ({type(error).__name__})",
            cure="check network, proxy and HF_ENDPOINT; or copy the model's directory here and"
            " give its path",
            place=place,
        ) from error
    progress("download", 1, 1)
    return Path(directory)
