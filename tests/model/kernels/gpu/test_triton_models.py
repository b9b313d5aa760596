"""Models on the Triton kernels give the logits they give in transformers."""

from __future__ import annotations

import copy

import pytest
import torch
import transformers
from torch import nn
from transformers.models.llama4.configuration_llama4 import Llama4TextConfig
from transformers.models.llama4.modeling_llama4 import Llama4TextMoe

from agentkit.model.kernels import Weights, use_fused_experts
from agentkit.model.kernels.gpu import GpuExperts, GpuWeights
from agentkit.model.local.fused import FusedMoe, fuse_experts
from agentkit.model.local.routing import RoutedMoe

COMMON = {
    "vocab_size": 32,
    "hidden_size": 32,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 32,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
}


@pytest.mark.parametrize("family", ["mixtral", "gpt_oss"])
def test_fp32_logits_equal_transformers(device: str, family: str) -> None:
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(family, **COMMON)
    config._experts_implementation = "eager"
    theirs = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "norm" not in name:
                parameter.normal_(0, 0.15)
    theirs = theirs.to(device)
    ours, fp8 = copy.deepcopy(theirs), copy.deepcopy(theirs)
    assert use_fused_experts(ours, interpret=True) == 1
    assert use_fused_experts(fp8, weights=GpuWeights.FLOAT8, interpret=True) == 1
    ids = torch.randint(0, 32, (1, 7), device=device)
    with torch.inference_mode():
        wanted = theirs(ids).logits
        assert (ours(ids).logits - wanted).abs().max() <= 1e-4
        assert (fp8(ids).logits - wanted).norm() <= 0.1 * wanted.norm()


@pytest.mark.parametrize("weights", [None, Weights.INT8, GpuWeights.FLOAT8])
def test_a_llama4_block_equals_the_routed_one(
    device: str, weights: Weights | GpuWeights | None
) -> None:
    torch.manual_seed(0)
    config = Llama4TextConfig(
        hidden_size=32, intermediate_size=24, num_local_experts=4, num_experts_per_tok=1
    )
    block = Llama4TextMoe(config).eval().to(device)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.normal_(0, 0.2)
    routed = RoutedMoe(block)
    model = nn.ModuleDict({"feed_forward": routed})
    assert fuse_experts(model, weights=weights, interpret=True) == 1
    fused = model["feed_forward"]
    assert isinstance(fused, FusedMoe)
    assert isinstance(fused.packed, GpuExperts)
    x = torch.randn(1, 9, 32, device=device)
    with torch.inference_mode():
        wanted, wanted_logits = routed(x)
        out, logits = fused(x)
    torch.testing.assert_close(logits, wanted_logits, atol=1e-5, rtol=1e-5)
    bound = {None: 1e-5, Weights.INT8: 1e-2, GpuWeights.FLOAT8: 6e-2}[weights]
    assert (out - wanted).norm() <= bound * wanted.norm()
