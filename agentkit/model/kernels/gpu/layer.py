"""What a layer is on a GPU: its formats, its packed weights, and whether one can run there."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING

import structlog

from agentkit.errors import ModelError
from agentkit.model.kernels.layer import MoeShape, Weights

if TYPE_CHECKING:
    import torch

__all__ = [
    "GpuExperts",
    "GpuShape",
    "GpuWeights",
    "check_interpreter",
    "choose_weights",
    "cpu_weights",
    "triton_runs_on",
]


class GpuWeights(IntEnum):
    """The format of expert weights; int8 and fp8 (e4m3) have one bfloat16 scale a group of inputs.

    A format that the CPU has too has the same number.
    """

    FLOAT32 = 0
    BFLOAT16 = 1
    INT8 = 2
    FLOAT16 = 4
    FLOAT8 = 5

    @property
    def quantised(self) -> bool:
        """Whether the format has scales."""
        return self in {GpuWeights.INT8, GpuWeights.FLOAT8}


@dataclass(frozen=True)
class GpuShape(MoeShape):
    """Sizes and formats of one layer on a GPU; nothing is padded in memory."""

    weights: GpuWeights = GpuWeights.BFLOAT16  # type: ignore[assignment]  # a GPU has its own closed set of formats

    @classmethod
    def of(cls, shape: MoeShape, weights: GpuWeights, group: int) -> GpuShape:
        """Return the layer ``shape`` in another format; ``group`` counts only if it has scales."""
        known = {name: getattr(shape, name) for name in cls.__dataclass_fields__}
        known |= {"weights": weights, "group": group if weights.quantised else 0}
        return cls(**known)


@dataclass(frozen=True, eq=False)
class GpuExperts:
    """The weights of one layer as the Triton kernels read them, all on one device.

    ``gate_up``: [matrices, 2, intermediate, hidden], gate before up. ``down``: [matrices, hidden,
    intermediate]. Their dtype is the format's; fp8 is kept as its bytes (uint8), for not every GPU
    knows the type. Scales: bfloat16 [matrices, 2, groups, intermediate] and [matrices, groups,
    hidden]; the last group may be short. ``gate_up_bias``: fp32 [matrices, 2, intermediate].
    ``down_bias``: fp32 [matrices, hidden]. ``router``: fp32 [experts, hidden].
    """

    shape: GpuShape
    gate_up: torch.Tensor
    down: torch.Tensor
    gate_up_scales: torch.Tensor | None = None
    down_scales: torch.Tensor | None = None
    gate_up_bias: torch.Tensor | None = None
    down_bias: torch.Tensor | None = None
    router: torch.Tensor | None = None

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


def triton_runs_on(device: torch.device, *, interpret: bool = False) -> bool:
    """Whether ``device`` is a GPU and Triton is installed; its absence is logged once.

    ``interpret``: any device will do. Raises ``ModelError`` if Triton was not started for that.
    """
    if interpret:
        check_interpreter()
        return True
    return device.type == "cuda" and _triton_is_there()


def check_interpreter() -> None:
    """Raise ``ModelError`` unless Triton interprets its kernels, as it must on the CPU."""
    if os.environ.get("TRITON_INTERPRET", "").lower() not in {"1", "true", "yes", "on", "y"}:
        raise ModelError(
            "Triton's kernels run on the CPU in its interpreter only",
            cure="start Python with TRITON_INTERPRET=1, or move the model to a GPU before its"
            " experts are packed",
        )


@cache
def _triton_is_there() -> bool:
    if importlib.util.find_spec("triton") is not None:
        return True
    structlog.get_logger().warning(
        "gpu_kernel_absent",
        reason="Triton is not installed",
        effect="experts on a GPU run as transformers has them: correct, and slower",
        cure="pip install 'agentkit-gated[gpu]'",
    )
    return False


def choose_weights(wanted: Weights | GpuWeights | None, own: str) -> GpuWeights:
    """Return the GPU's format for ``wanted``, or for the model's ``own`` dtype if that is None.

    ``own``: a dtype as torch prints it (``torch.bfloat16``). Raises ``ModelError`` for int4, which
    has no GPU kernel.
    """
    name = own.removeprefix("torch.").upper() if wanted is None else wanted.name
    return GpuWeights[_known(name, GpuWeights, "GPU")]


def cpu_weights(wanted: Weights | GpuWeights | None) -> Weights | None:
    """Return the CPU's format for ``wanted``; raises ``ModelError`` for fp16 and fp8."""
    return None if wanted is None else Weights[_known(wanted.name, Weights, "CPU")]


def _known(name: str, formats: type[IntEnum], device: str) -> str:
    if name not in formats.__members__:
        raise ModelError(
            f"there is no {device} kernel for experts in {name.lower()}",
            cure=f"choose one of {', '.join(formats.__members__).lower()}",
        )
    return name
