"""In which format weights are kept in memory: the choice, and how it is said."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from agentkit.model.kernels.layer import Weights

__all__ = ["ExpertsName", "LinearsName", "WeightFormat"]

ExpertsName = Literal["auto", "bf16", "int8", "int4"]
LinearsName = Literal["auto", "int8", "int4"]

_FORMATS = MappingProxyType({"bf16": Weights.BFLOAT16, "int8": Weights.INT8, "int4": Weights.INT4})


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """``experts`` and ``linears``: ``auto`` is the model's own format. ``group``: 32, 64 or 128.

    ``group`` counts the inputs that share a scale in int8 and int4: fewer are more exact and
    larger. With int4 linears the last layer (``lm_head``) stays int8, for it decides the token.
    """

    experts: ExpertsName = "auto"
    linears: LinearsName = "auto"
    group: int = 32

    @property
    def expert_weights(self) -> Weights | None:
        """The experts' format; None for the model's own."""
        return _FORMATS.get(self.experts)

    def linear_weights(self, name: str) -> Weights | None:
        """Return the format of the linear layer ``name``; None for the model's own."""
        last = name.rpartition(".")[2] == "lm_head"
        return Weights.INT8 if last and self.linears == "int4" else _FORMATS.get(self.linears)

    def describe(self) -> str:
        """Say what is quantised, in one phrase; empty if nothing is."""
        said = [
            f"{what} {chosen}" + (f" (groups of {self.group})" if chosen != "bf16" else "")
            for what, chosen in (("experts", self.experts), ("linears", self.linears))
            if chosen != "auto"
        ]
        return ", ".join(said)
