"""Load a model from a directory or from the hub: safetensors only, no code of its own.

Llama 4 runs with routed experts (``routing.py``); any other causal language model that
transformers knows runs with transformers' own layers, and its ``info`` says so.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import transformers
from transformers import DynamicCache, PreTrainedTokenizerFast
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from agentkit.errors import ModelError
from agentkit.model.formats.chatml import ChatmlFormat
from agentkit.model.formats.llama4 import Llama4Format
from agentkit.model.kernels.dispatch import library
from agentkit.model.local.adapters import open_adapter
from agentkit.model.local.chat import LocalModel
from agentkit.model.local.checkpoint import inspect_checkpoint
from agentkit.model.local.generation import Runtime
from agentkit.model.local.hub import fetch_snapshot
from agentkit.model.local.native import NativeDecoder
from agentkit.model.local.open_weights import open_weights
from agentkit.model.local.quiet import quiet_transformers
from agentkit.model.local.segments import steady_context
from agentkit.model.local.weight_format import WeightFormat
from agentkit.model.protocol import ModelInfo
from agentkit.progress import silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedModel

    from agentkit.model.formats import PromptFormat
    from agentkit.model.local.batch_policy import BatchPolicy
    from agentkit.model.local.open_weights import OpenedWeights
    from agentkit.model.local.prefix_store import PrefixPolicy
    from agentkit.progress import Progress

__all__ = ["DtypeName", "load_checkpoint", "load_local"]

DtypeName = Literal["auto", "float32", "bfloat16"]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_LEAST_CONTEXT = 2
# The multimodal checkpoint carries the same text model under a prefix that transformers strips.
_TEXT_PART_OF = {"Llama4ForConditionalGeneration": "Llama4ForCausalLM"}


def load_local(
    path_or_id: str | Path,
    *,
    revision: str | None = None,
    dtype: DtypeName = "auto",
    progress: Progress | None = None,
    context_tokens: int | None = None,
    weights: WeightFormat | None = None,
    packed_cache: Path | None = None,
    adapters: Sequence[Path] = (),
    base_model: str | None = None,
    prefixes: PrefixPolicy | None = None,
    batch: BatchPolicy | None = None,
) -> LocalModel:
    """Return the model in a directory, or of a hub id (``org/name``) at ``revision``.

    ``dtype``: of activations and of what ``weights`` leaves alone; ``auto`` is the checkpoint's
    own. ``context_tokens``: the most that prompt and reply may be together, by default all the
    model was made for. ``weights``: int8 or int4 for experts and linears. ``packed_cache``: a
    directory that keeps packed weights for the next start. ``adapters``: folders of LoRA adapters
    to merge, made for this model or for ``base_model``. ``prefixes``: how much of past
    prompts is kept. ``batch``: how many generations run at once and how many wait. Raises
    ``ModelError``.
    """
    report = progress or silent
    directory = Path(path_or_id).expanduser()
    if directory.exists() or not _HUB_ID.fullmatch(str(path_or_id)):
        return load_checkpoint(
            directory,
            model_id=str(path_or_id),
            revision=revision or "local",
            dtype=dtype,
            progress=report,
            context_tokens=context_tokens,
            weights=weights,
            packed_cache=packed_cache,
            adapters=adapters,
            base_model=base_model,
            prefixes=prefixes,
            batch=batch,
        )
    if revision is None:
        raise ModelError(
            "a model from the hub needs a revision, so that it is the same one every time",
            cure="give the commit id shown under 'Files and versions' of the model's page",
            place=str(path_or_id),
        )
    snapshot = fetch_snapshot(str(path_or_id), revision, progress=report)
    return load_checkpoint(
        snapshot,
        model_id=str(path_or_id),
        revision=snapshot.name,
        dtype=dtype,
        progress=report,
        context_tokens=context_tokens,
        weights=weights,
        packed_cache=packed_cache,
        adapters=adapters,
        base_model=base_model,
        prefixes=prefixes,
        batch=batch,
    )


def load_checkpoint(
    directory: Path,
    *,
    model_id: str,
    revision: str,
    dtype: DtypeName = "auto",
    progress: Progress = silent,
    context_tokens: int | None = None,
    prompt_format: PromptFormat | None = None,
    weights: WeightFormat | None = None,
    packed_cache: Path | None = None,
    adapters: Sequence[Path] = (),
    base_model: str | None = None,
    prefixes: PrefixPolicy | None = None,
    batch: BatchPolicy | None = None,
    copies: bool = False,
) -> LocalModel:
    """Return the model in ``directory`` under a name and revision of the caller's.

    ``prompt_format``: by default what the tokenizer's special tokens tell. ``copies``: hold string
    arguments to the conversation's words.
    """
    files = inspect_checkpoint(directory)
    architecture = _TEXT_PART_OF.get(files.architecture, files.architecture)
    if architecture not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values():
        raise ModelError(
            f"the architecture {files.architecture} is no causal language model that"
            f" transformers {transformers.__version__} knows by itself",
            cure="use a model whose config.json names such an architecture, for example"
            " Llama4ForCausalLM; code shipped with a model is never run",
            place=str(directory / "config.json"),
        )
    chosen = weights or WeightFormat()
    with quiet_transformers():
        tokenizer = _load_tokenizer(directory)
        prompt_format = prompt_format or _choose_format(tokenizer, directory)
        names = (model_id, base_model or "", str(files.config.get("_name_or_path") or ""))
        merged = [open_adapter(folder, base_names=names) for folder in adapters]
        opened = open_weights(
            files,
            architecture,
            dtype,
            chosen,
            cache=packed_cache,
            progress=progress,
            adapters=merged,
        )
    model = opened.model
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        raise ModelError(
            "the tokenizer has more tokens than the model has embeddings",
            cure="copy tokenizer and weights of one and the same model",
            place=str(directory),
        )
    info = ModelInfo(
        model_id=model_id,
        revision=revision,
        architecture=architecture,
        backend=_backend(opened, chosen),
        context_tokens=_context(model, context_tokens, directory),
        adapters=tuple(f"{one.directory.name} sha256:{one.sha256}" for one in merged),
    )
    _check_cache(model, directory)
    runtime = Runtime(
        model,
        context_tokens=info.context_tokens,
        prefixes=prefixes,
        batch=batch,
        native=NativeDecoder.of(model),
    )
    return LocalModel(runtime, tokenizer, prompt_format, info, copies=copies)


def _backend(opened: OpenedWeights, chosen: WeightFormat) -> str:
    """Say in one phrase how the model runs: kernel or torch, and the formats of its weights."""
    experts = "routed experts" if opened.filled.routed else "layers as in transformers"
    if opened.filled.fused:
        experts = "fused experts" if library() else "experts in plain torch (no kernel is built)"
    said = [experts, chosen.describe(), str(opened.model.dtype).removeprefix("torch.")]
    if opened.filled.from_cache:
        said.append("from the packed cache")
    return ", ".join(["in-process", *(part for part in said if part)])


def _load_tokenizer(directory: Path) -> PreTrainedTokenizerFast:
    try:
        return PreTrainedTokenizerFast.from_pretrained(directory, local_files_only=True)
    except Exception as error:  # tokenizers raises bare Exception for a file it cannot read
        raise ModelError(
            f"the tokenizer cannot be read: {_first_line(error)}",
            cure="copy tokenizer.json and tokenizer_config.json again",
            place=str(directory),
        ) from error


def _choose_format(tokenizer: PreTrainedTokenizerFast, directory: Path) -> PromptFormat:
    vocabulary = tokenizer.get_vocab()
    if "<|header_start|>" in vocabulary:
        return Llama4Format()
    if "<|im_start|>" in vocabulary:
        return ChatmlFormat()
    raise ModelError(
        "its prompt format is unknown: the tokenizer has neither <|header_start|> (Llama 4) nor"
        " <|im_start|> (ChatML)",
        cure="use an instruction-tuned model of one of these formats, or serve it behind an"
        " OpenAI-compatible endpoint and use the remote backend",
        place=str(directory / "tokenizer.json"),
    )


def _context(model: PreTrainedModel, wanted: int | None, directory: Path) -> int:
    most = steady_context(model.config)
    if wanted is None and most is None:
        raise ModelError(
            "config.json does not say how long a context the model was made for",
            cure="give context_tokens",
            place=str(directory / "config.json"),
        )
    chosen = wanted or most or 0
    if chosen < _LEAST_CONTEXT or (most is not None and chosen > most):
        raise ModelError(
            f"context_tokens {chosen} is not between {_LEAST_CONTEXT} and the model's {most}",
            cure="choose a number in between; a model with longrope has no more than its"
            " original_max_position_embeddings here, for beyond it reads all positions differently",
            place=str(directory),
        )
    return chosen


def _check_cache(model: PreTrainedModel, directory: Path) -> None:
    try:
        DynamicCache(config=model.config)
    except Exception as error:  # a garbled config surfaces as nearly any exception
        raise ModelError(
            f"its KV cache cannot be made: {_first_line(error)}",
            cure="copy config.json again: attention_chunk_size, sliding_window and layer_types"
            " must be the model's own",
            place=str(directory / "config.json"),
        ) from error


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:300] if text else 'no message'}"
