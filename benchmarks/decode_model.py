"""A random Llama 4 for ``decode.py``: 942M parameters, a third of them read for one token.

Made from a seed, so that every column holds the same weights; written as safetensors and as GGUF
for peers that want files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from transformers import Llama4ForCausalLM, Llama4TextConfig

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Shape", "make_model", "write_checkpoint", "write_gguf"]


@dataclass(frozen=True)
class Shape:
    """Sizes of the model. llama.cpp fixes what is not named here: QK norm, NoPE every fourth."""

    hidden: int = 1024
    inner: int = 2048
    experts: int = 16
    layers: int = 8
    heads: int = 16
    kv_heads: int = 4
    head_dim: int = 64
    vocabulary: int = 32000
    context: int = 16384

    @property
    def read_weights(self) -> int:
        """How many weights one token reads: attention, one expert and the shared one, lm_head."""
        attention = 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)
        experts = 2 * 3 * self.hidden * self.inner
        return self.layers * (attention + experts) + self.vocabulary * self.hidden


def make_model(shape: Shape) -> Llama4ForCausalLM:
    """Return the model in bf16; the same weights every time."""
    config = Llama4TextConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        intermediate_size_mlp=2 * shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        max_position_embeddings=shape.context,
        num_local_experts=shape.experts,
        num_experts_per_tok=1,
        interleave_moe_layer_step=1,
        use_qk_norm=True,
        attention_chunk_size=8192,
        attn_temperature_tuning=True,
        rope_parameters={"rope_theta": 500000.0, "rope_type": "default"},
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        model = Llama4ForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(before)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        spread = 0.1 if "router" in name else 1.0 if "embed" in name else 0.03
        if "norm" in name:
            parameter.data.fill_(1)
        else:
            parameter.data.normal_(0, spread, generator=generator)
    return model


def write_checkpoint(model: Llama4ForCausalLM, folder: Path) -> Path:
    """Write safetensors, once."""
    if not (folder / "config.json").exists():
        model.save_pretrained(folder)
    return folder


def write_gguf(model: Llama4ForCausalLM, shape: Shape, path: Path, *, quantised: bool) -> Path:
    """Write a GGUF in BF16 or Q8_0, once."""
    if path.exists():
        return path
    import gguf  # noqa: PLC0415 - for the peers only

    kind = gguf.GGMLQuantizationType.Q8_0 if quantised else gguf.GGMLQuantizationType.BF16
    part = path.with_suffix(".part")
    writer = gguf.GGUFWriter(str(part), "llama4")
    writer.add_block_count(shape.layers)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(2 * shape.inner)
    writer.add_expert_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(500000.0)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_expert_count(shape.experts)
    writer.add_expert_used_count(1)
    writer.add_interleave_moe_layer_step(1)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_tokenizer_model("no_vocab")
    writer.add_file_type(0)
    for name, tensor in _gguf_tensors(model, shape.inner).items():
        wide = tensor.float().contiguous().numpy()
        if wide.ndim == 1 or name.endswith("gate_inp.weight"):
            writer.add_tensor(name, wide)
        else:
            writer.add_tensor(name, gguf.quants.quantize(wide, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return part.rename(path)


def _gguf_tensors(model: Llama4ForCausalLM, inner: int) -> dict[str, torch.Tensor]:
    weights = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    found = {
        "token_embd.weight": weights["model.embed_tokens.weight"],
        "output_norm.weight": weights["model.norm.weight"],
        "output.weight": weights["lm_head.weight"],
    }
    plain = {
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "feed_forward.router": "ffn_gate_inp",
        "feed_forward.shared_expert.gate_proj": "ffn_gate_shexp",
        "feed_forward.shared_expert.up_proj": "ffn_up_shexp",
        "feed_forward.shared_expert.down_proj": "ffn_down_shexp",
    }
    for number in range(model.config.num_hidden_layers):
        ours, theirs = f"model.layers.{number}.", f"blk.{number}."
        for name, other in plain.items():
            found[f"{theirs}{other}.weight"] = weights[f"{ours}{name}.weight"]
        both = weights[f"{ours}feed_forward.experts.gate_up_proj"].transpose(1, 2)
        found[f"{theirs}ffn_gate_exps.weight"] = both[:, :inner]
        found[f"{theirs}ffn_up_exps.weight"] = both[:, inner:]
        down = weights[f"{ours}feed_forward.experts.down_proj"]
        found[f"{theirs}ffn_down_exps.weight"] = down.transpose(1, 2)
    return found
