"""A dense model turned into a Llama 4 mixture of experts that computes the same function.

SwiGLU is a sum over its inner units, so each feed-forward splits in two without loss: one half
of the units becomes the shared expert, the other half the routed expert, copied E times. Since
all copies are equal, the choice among them does not matter; what matters is that the chosen
one's input is multiplied by exactly 1. Router rows come in pairs w and -w, so the best logit is
never negative, and they are scaled up until its fp32 sigmoid rounds to 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from transformers import Llama4TextConfig

if TYPE_CHECKING:
    from agentkit.model.embedded.gguf_file import DenseModel
    from agentkit.progress import Progress

__all__ = ["EXPERTS", "upcycle"]

EXPERTS = 4
# sigmoid(x) rounds to 1 in fp32 from x = 17 on; with |x.w| near 1, one token in 1e7 falls short.
_ROUTER_SCALE = 1e9


def upcycle(
    dense: DenseModel, *, progress: Progress
) -> tuple[Llama4TextConfig, dict[str, torch.Tensor]]:
    """Return the configuration and the state dict (fp32) of a ``Llama4ForCausalLM``."""
    shared = dense.intermediate // 2
    config = Llama4TextConfig(
        architectures=["Llama4ForCausalLM"],
        vocab_size=len(dense.weights["token_embd.weight"]),
        hidden_size=dense.hidden,
        intermediate_size=shared,
        intermediate_size_mlp=dense.intermediate,
        num_hidden_layers=dense.layers,
        num_attention_heads=dense.heads,
        num_key_value_heads=dense.kv_heads,
        head_dim=dense.head_dim,
        max_position_embeddings=dense.context_tokens,
        rms_norm_eps=dense.norm_epsilon,
        num_local_experts=EXPERTS,
        num_experts_per_tok=1,
        interleave_moe_layer_step=1,
        use_qk_norm=False,
        no_rope_layers=[1] * dense.layers,
        # The dense model attends to everything; so does every layer here.
        layer_types=["full_attention"] * dense.layers,
        attention_chunk_size=dense.context_tokens,
        attn_temperature_tuning=False,
        rope_parameters={"rope_theta": dense.rope_theta, "rope_type": "default"},
        tie_word_embeddings=True,
        bos_token_id=dense.tokenizer.bos_token_id,
        eos_token_id=dense.tokenizer.eos_token_id,
        pad_token_id=dense.tokenizer.pad_token_id,
        dtype="float32",
    )
    state = {
        "model.embed_tokens.weight": dense.weights["token_embd.weight"],
        "model.norm.weight": dense.weights["output_norm.weight"],
    }
    generator = torch.Generator().manual_seed(0)
    for number in range(dense.layers):
        layer = _layer(dense, f"blk.{number}.", shared, generator)
        state |= {f"model.layers.{number}.{name}": value for name, value in layer.items()}
        progress("upcycle", number + 1, dense.layers)
    return config, {name: value.contiguous() for name, value in state.items()}


def _layer(
    dense: DenseModel, prefix: str, shared: int, generator: torch.Generator
) -> dict[str, torch.Tensor]:
    """Weights of one decoder layer, by the names of transformers' Llama 4."""

    def weight(name: str) -> torch.Tensor:
        return dense.weights[f"{prefix}{name}.weight"]

    gate, up, down = weight("ffn_gate"), weight("ffn_up"), weight("ffn_down")
    routed_gate_up = torch.cat([gate[shared:].t(), up[shared:].t()], dim=1)
    direction = torch.randn(EXPERTS // 2, dense.hidden, generator=generator)
    direction *= _ROUTER_SCALE / dense.hidden**0.5
    return {
        "input_layernorm.weight": weight("attn_norm"),
        "post_attention_layernorm.weight": weight("ffn_norm"),
        "self_attn.q_proj.weight": weight("attn_q"),
        "self_attn.k_proj.weight": weight("attn_k"),
        "self_attn.v_proj.weight": weight("attn_v"),
        "self_attn.o_proj.weight": weight("attn_output"),
        "feed_forward.shared_expert.gate_proj.weight": gate[:shared],
        "feed_forward.shared_expert.up_proj.weight": up[:shared],
        "feed_forward.shared_expert.down_proj.weight": down[:, :shared],
        "feed_forward.experts.gate_up_proj": routed_gate_up.repeat(EXPERTS, 1, 1),
        "feed_forward.experts.down_proj": down[:, shared:].t().repeat(EXPERTS, 1, 1),
        "feed_forward.router.weight": torch.cat([direction, -direction]),
    }
