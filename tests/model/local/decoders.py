"""Native decoders of models, and what transformers itself computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from agentkit.model.local.fused import fuse_experts
from agentkit.model.local.native import NativeDecoder
from agentkit.model.local.routing import route_experts

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from agentkit.model.kernels import Weights


def native_decoder(model: PreTrainedModel, weights: Weights | None = None) -> NativeDecoder:
    """Make ``model`` what loading makes of it, and return its decoder."""
    route_experts(model)
    fuse_experts(model, weights=weights)
    decoder = NativeDecoder.of(model)
    assert decoder is not None
    return decoder


def full_logits(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """Return the logits [tokens, vocab] after each of ``ids``, read at once."""
    with torch.inference_mode():
        return model(ids.unsqueeze(0), use_cache=False).logits[0]
