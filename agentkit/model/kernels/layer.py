"""What a mixture-of-experts layer is: its sizes, its formats, and its packed weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from agentkit.errors import ModelError

if TYPE_CHECKING:
    import torch

__all__ = ["GATE", "PANEL", "Gate", "MoeShape", "PackedExperts", "Weighting", "Weights"]

PANEL = 64
"""Output columns of one panel of packed weights."""

GATE = PANEL // 2
"""Columns of the gate in a panel of gate and up; as many of up stand beside them."""


class Weights(IntEnum):
    """The format of expert weights. int8 and int4 have one bfloat16 scale a group of inputs."""

    FLOAT32 = 0
    BFLOAT16 = 1
    INT8 = 2
    INT4 = 3

    @property
    def depth(self) -> int:
        """Consecutive inputs of one column that share a 32-bit word."""
        return 1 << self.value

    @property
    def quantised(self) -> bool:
        """Whether the format has scales."""
        return self in {Weights.INT8, Weights.INT4}


class Gate(IntEnum):
    """How gate and up become one: plain SwiGLU, or GPT-OSS's clamped one with ``up + 1``."""

    SWIGLU = 0
    CLAMPED_SWIGLU = 1


class Weighting(IntEnum):
    """Where a token's score goes: on the expert's input (Llama 4) or on its output (all others)."""

    INPUT = 0
    OUTPUT = 1


@dataclass(frozen=True)
class MoeShape:
    """Sizes and formats of one layer; any ``hidden`` and ``intermediate`` size is padded.

    ``group``: inputs per scale, 32, 64 or 128 (quantised weights only, else 0). ``gate_alpha`` and
    ``gate_limit`` belong to the clamped gate. Raises ``ModelError`` for what no kernel can run.
    """

    hidden: int
    intermediate: int
    experts: int
    top_k: int
    weights: Weights = Weights.BFLOAT16
    group: int = 0
    shared: bool = False
    gate: Gate = Gate.SWIGLU
    weighting: Weighting = Weighting.OUTPUT
    gate_alpha: float = 1.0
    gate_limit: float = 0.0

    def __post_init__(self) -> None:
        if min(self.hidden, self.intermediate, self.experts, self.top_k) < 1:
            raise ModelError(
                f"a mixture-of-experts layer needs sizes of at least 1: {self}",
                cure="check the model's configuration",
            )
        if self.top_k > self.experts:
            raise ModelError(
                f"{self.top_k} experts a token of only {self.experts}",
                cure="check num_experts_per_tok in the model's configuration",
            )
        allowed = {32, 64, 128} if self.weights.quantised else {0}
        if self.group not in allowed:
            raise ModelError(
                f"group {self.group} for {self.weights.name} weights",
                cure=f"use one of {sorted(allowed)}",
            )

    @property
    def matrices(self) -> int:
        """Experts in the packed weights; the shared one, where there is one, is the last."""
        return self.experts + int(self.shared)

    @property
    def padded_hidden(self) -> int:
        """``hidden`` rounded up to whole panels and whole groups."""
        return _round_up(self.hidden, max(PANEL, self.group))

    @property
    def padded_intermediate(self) -> int:
        """``intermediate`` rounded up to whole panels and whole groups."""
        return _round_up(self.intermediate, max(PANEL, self.group))

    def word_size(self, panels: int, inputs: int) -> tuple[int, int, int]:
        """Return the size of one packed matrix, in 32-bit words."""
        return panels, inputs // self.weights.depth, PANEL

    def scale_size(self, panels: int, inputs: int) -> tuple[int, int, int]:
        """Return the size of one quantised matrix's scales."""
        return panels, inputs // self.group, PANEL


def _round_up(size: int, unit: int) -> int:
    return -(-size // unit) * unit


@dataclass(frozen=True, eq=False)
class PackedExperts:
    """The weights of one layer as the kernel reads them; ``src/moe.h`` describes the layout.

    ``gate_up``: int32 [matrices, padded_intermediate / 32, padded_hidden / depth, 64].
    ``down``: int32 [matrices, padded_hidden / 64, padded_intermediate / depth, 64].
    Scales: bfloat16, the same with ``group`` for ``depth``. ``gate_up_bias``: fp32 [matrices,
    padded_intermediate / 32, 64]. ``down_bias``: fp32 [matrices, padded_hidden]. ``router``: fp32
    [experts, padded_hidden], only for layers whose router runs in the kernel.
    """

    shape: MoeShape
    gate_up: torch.Tensor
    down: torch.Tensor
    gate_up_scales: torch.Tensor | None = None
    down_scales: torch.Tensor | None = None
    gate_up_bias: torch.Tensor | None = None
    down_bias: torch.Tensor | None = None
    router: torch.Tensor | None = None
    _native: dict[torch.dtype, object] = field(default_factory=dict, init=False, repr=False)

    def __getstate__(self) -> dict[str, object]:
        """Leave out the C structs: they point into this object's tensors, not into a copy's."""
        return {**self.__dict__, "_native": {}}

    @property
    def tensors(self) -> tuple[torch.Tensor | None, ...]:
        """All tensors, in the order of the fields."""
        return (
            self.gate_up,
            self.down,
            self.gate_up_scales,
            self.down_scales,
            self.gate_up_bias,
            self.down_bias,
            self.router,
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.nbytes for tensor in self.tensors if tensor is not None)
