"""The adapter file: for each linear layer, by its GGUF name, ``down`` [RANK, in] and
``up`` [out, RANK] in bf16, with ``SCALE`` already in ``up``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file

from training.tool_use.network import SCALE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from training.tool_use.network import AdaptedLinear, Network

__all__ = ["export_adapter", "import_adapter"]

_LAYERS = {
    "qkv": ("attn_q", "attn_k", "attn_v"),
    "output": ("attn_output",),
    "gate_up": ("ffn_gate", "ffn_up"),
    "down": ("ffn_down",),
}


def export_adapter(network: Network, path: Path) -> None:
    """Write the adapters of ``network``."""
    state = {}
    for name, layer, number in _parts(network):
        state[f"{name}.down"] = layer.down[number].detach().to(torch.bfloat16).contiguous()
        state[f"{name}.up"] = (layer.up[number].detach() * SCALE).to(torch.bfloat16).contiguous()
    scratch = path.with_suffix(".tmp")
    save_file(state, scratch)
    scratch.replace(path)


def import_adapter(network: Network, path: Path) -> None:
    """Read adapters into ``network``."""
    state = load_file(path)
    with torch.no_grad():
        for name, layer, number in _parts(network):
            layer.down[number].copy_(state[f"{name}.down"])
            layer.up[number].copy_(state[f"{name}.up"] / SCALE)


def _parts(network: Network) -> Iterator[tuple[str, AdaptedLinear, int]]:
    for block_number, block in enumerate(network.blocks):
        for attribute, names in _LAYERS.items():
            for number, name in enumerate(names):
                yield f"blk.{block_number}.{name}", getattr(block, attribute), number
