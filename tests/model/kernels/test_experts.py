"""Every family on the experts interface gives transformers' logits with the kernel underneath."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch
import transformers

from agentkit.model.kernels import Weights, use_fused_experts

if TYPE_CHECKING:
    from agentkit.model.kernels.dispatch import KernelLibrary

COMMON = {
    "vocab_size": 128,
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
FAMILIES = {
    "qwen3_moe": {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 40},
    "olmoe": {"num_experts": 8, "num_experts_per_tok": 3, "intermediate_size": 40},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2, "intermediate_size": 72},
    "gpt_oss": {
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "intermediate_size": 72,
        "head_dim": 16,
    },
    "granitemoe": {"num_local_experts": 4, "num_experts_per_tok": 2, "intermediate_size": 40},
    "glm4_moe": {
        "n_routed_experts": 8,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 40,
        "first_k_dense_replace": 1,
        "head_dim": 16,
        "n_group": 1,
        "topk_group": 1,
    },
    "deepseek_v3": {
        "n_routed_experts": 8,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 40,
        "first_k_dense_replace": 1,
        "n_group": 2,
        "topk_group": 1,
        "q_lora_rank": 24,
        "kv_lora_rank": 16,
        "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 8,
        "v_head_dim": 16,
        "num_key_value_heads": 4,
    },
}


def _tiny(family: str) -> transformers.PreTrainedModel:
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(family, **(COMMON | FAMILIES[family]))
    config._experts_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.normal_(0, 0.15)
    return model


def _logits(model: transformers.PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model(ids).logits.float()


@pytest.mark.parametrize("family", FAMILIES)
def test_fp32_logits_equal_transformers(kernel: KernelLibrary, family: str) -> None:
    theirs = _tiny(family)
    ours = copy.deepcopy(theirs)
    dense = FAMILIES[family].get("first_k_dense_replace", 0)
    assert use_fused_experts(ours) == 3 - dense
    for tokens in (1, 33):
        ids = torch.randint(0, 128, (2, tokens), generator=torch.Generator().manual_seed(tokens))
        assert (_logits(ours, ids) - _logits(theirs, ids)).abs().max() <= 1e-4


@pytest.mark.parametrize("family", ["mixtral", "gpt_oss"])
def test_int8_experts_stay_close(kernel: KernelLibrary, family: str) -> None:
    theirs = _tiny(family)
    ours = copy.deepcopy(theirs)
    use_fused_experts(ours, weights=Weights.INT8)
    ids = torch.randint(0, 128, (1, 20), generator=torch.Generator().manual_seed(3))
    expected = _logits(theirs, ids)
    assert (_logits(ours, ids) - expected).norm() <= 0.05 * expected.norm()


def test_release_frees_the_models_own_copy(kernel: KernelLibrary) -> None:
    kept, freed = _tiny("mixtral"), _tiny("mixtral")
    use_fused_experts(kept, release=False)
    use_fused_experts(freed)
    assert sum(p.numel() for p in freed.parameters()) < sum(p.numel() for p in kept.parameters())
    ids = torch.arange(5).unsqueeze(0)
    assert torch.equal(_logits(kept, ids), _logits(freed, ids))


def test_a_layer_the_kernel_does_not_know_runs_as_before(kernel: KernelLibrary) -> None:
    config = transformers.MixtralConfig(**COMMON, **FAMILIES["mixtral"], hidden_act="gelu")
    model = transformers.MixtralForCausalLM(config).eval()
    expected = _logits(model, torch.arange(5).unsqueeze(0))
    assert use_fused_experts(model) == 0
    assert torch.equal(_logits(model, torch.arange(5).unsqueeze(0)), expected)
