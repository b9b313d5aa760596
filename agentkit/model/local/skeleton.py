"""A model without weights: its modules and buffers, ready to be filled tensor by tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import transformers

from agentkit.errors import ModelError
from agentkit.model.local.routing import route_experts

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from agentkit.model.local.checkpoint import CheckpointFiles

__all__ = ["bare_model", "put_tensor"]


def bare_model(files: CheckpointFiles, architecture: str, dtype: str) -> PreTrainedModel:
    """Return the model on torch's ``meta`` device, Llama 4's blocks routed, buffers computed.

    ``dtype``: ``float32``, ``bfloat16``, or ``auto`` for the checkpoint's own. Raises
    ``ModelError`` where transformers cannot build what config.json describes.
    """
    kind = getattr(transformers, architecture)
    try:
        config = kind.config_class.from_pretrained(
            files.directory, local_files_only=True, trust_remote_code=False
        )
        stated = config.dtype if isinstance(config.dtype, torch.dtype) else torch.float32
        chosen = stated if dtype == "auto" else getattr(torch, dtype)
        with torch.device("meta"):
            model: PreTrainedModel = kind._from_config(config, dtype=chosen)  # noqa: SLF001 - from_config of the class itself has no other name
    except Exception as error:  # a garbled config surfaces as nearly any exception
        text = str(error).strip()
        raise ModelError(
            f"transformers cannot build it: {type(error).__name__}:"
            f" {text.splitlines()[0][:300] if text else 'no message'}",
            cure="check that config.json belongs to this model and is whole",
            place=str(files.directory / "config.json"),
        ) from error
    _keep_exact(model)
    _compute_buffers(model)
    route_experts(model)
    return model.eval()


def put_tensor(model: nn.Module, name: str, tensor: torch.Tensor) -> None:
    """Put ``tensor`` in the place of the parameter or buffer ``name``."""
    path, _, last = name.rpartition(".")
    module = model.get_submodule(path)
    if last in module._parameters:  # noqa: SLF001 - setattr refuses a parameter of another device
        module._parameters[last] = torch.nn.Parameter(tensor, requires_grad=False)  # noqa: SLF001 - as above
    else:
        module._buffers[last] = tensor  # noqa: SLF001 - as above


def _keep_exact(model: PreTrainedModel) -> None:
    """Keep in fp32 what transformers keeps so: corrections that bf16 would round away."""
    words = tuple(getattr(model, "_keep_in_fp32_modules_strict", None) or ())
    for name, tensor in model.state_dict(keep_vars=True).items():
        if any(word in name.split(".") for word in words):
            put_tensor(model, name, tensor.detach().float())


def _compute_buffers(model: PreTrainedModel) -> None:
    """Compute what no checkpoint holds, such as the frequencies of rotary embeddings."""
    for module in model.modules():
        names = [
            name
            for name in module._non_persistent_buffers_set  # noqa: SLF001 - torch has no public list
            if module._buffers.get(name) is not None  # noqa: SLF001 - as above
        ]
        for name in names:
            module._buffers[name] = torch.empty_like(module._buffers[name], device="cpu")  # noqa: SLF001 - as above
        if names:
            model._init_weights(module)  # noqa: SLF001 - transformers' own way to compute them
