"""The arithmetic: bytes of weights and of keys and values, what fits, and how fast at most.

Decoding one token reads every active weight and all kept keys and values once, so the memory's
read bandwidth divided by those bytes is a ceiling. A real run stays below it, more so with many
small layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentkit.messages import JsonObject
    from agentkit.model.plan.machine import Machine
    from agentkit.model.plan.shape import ModelShape

__all__ = ["FORMATS", "FormatPlan", "ModelPlan", "plan_model"]

_HALF = 2  # bytes of a bfloat16
_SCALE = _HALF / 32  # of groups of 32

FORMATS = MappingProxyType({"bf16": 2.0, "int8": 1 + _SCALE, "int4": 0.5 + _SCALE})
"""Bytes of one expert weight by ``weights`` of agent.yaml; all other weights are bfloat16.

Of a model without experts, bytes of one weight of a linear layer by ``linears``.
"""

_LOADING = 1.15
_ROOM = 1 << 30


@dataclass(frozen=True, slots=True)
class FormatPlan:
    """One format. ``needed``: memory while loading, or running if that is more.

    ``most_context``: tokens that fit for each user, 0 where not even the weights do.
    ``tokens_per_s``: the ceiling for one user at the planned context; None without a bandwidth.
    """

    weights_format: str
    weights: int
    kv: int
    needed: int
    fits: bool
    most_context: int
    tokens_per_s: float | None

    def to_json(self) -> JsonObject:
        """Return it for a program."""
        return {
            "weights": self.weights_format,
            "weights_bytes": self.weights,
            "kv_bytes": self.kv,
            "needed_bytes": self.needed,
            "fits": self.fits,
            "most_context": self.most_context,
            "tokens_per_s_at_most": self.tokens_per_s,
        }


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """All formats of one model on one machine."""

    shape: ModelShape
    machine: Machine
    context: int
    users: int
    formats: tuple[FormatPlan, ...]

    @property
    def fits(self) -> bool:
        """Whether there is a format that fits."""
        return any(one.fits for one in self.formats)

    @property
    def advice(self) -> str:
        """Say what fits, or what would."""
        best = next((one for one in self.formats if one.fits), None)
        if best is not None:
            return f"fits with weights: {best.weights_format}"
        smallest = self.formats[-1]
        if smallest.most_context:
            return (
                f"does not fit at this context; {smallest.weights_format} fits with"
                f" --context {smallest.most_context}"
            )
        return (
            f"does not fit: {smallest.weights_format} needs {smallest.needed / 1e9:.0f} GB of"
            f" memory, this machine has {self.machine.memory / 1e9:.0f} GB; use a larger machine,"
            " a smaller model, or a server behind the remote backend"
        )


def plan_model(shape: ModelShape, machine: Machine, *, context: int, users: int) -> ModelPlan:
    """Plan every format at ``context`` tokens for each of ``users`` conversations at once."""
    formats = tuple(
        _plan_format(name, shape, machine, context=context, users=users) for name in FORMATS
    )
    return ModelPlan(shape, machine, context, users, formats)


def _plan_format(
    name: str, shape: ModelShape, machine: Machine, *, context: int, users: int
) -> FormatPlan:
    # A model without experts can have its linear layers made smaller instead.
    linear = FORMATS[name] if not shape.experts else _HALF
    weights = int(shape.experts * FORMATS[name] + shape.linears * linear) + _HALF * shape.looked_up
    one_token = _HALF * shape.kv_numbers
    kv_each = one_token * shape.kept_tokens(context)
    needed = max(int(_LOADING * weights), weights + users * kv_each) + _ROOM
    room = (machine.memory - _ROOM - weights) // (users * one_token)
    loads = int(_LOADING * weights) + _ROOM <= machine.memory
    read = int(shape.active_experts * FORMATS[name] + shape.linears * linear) + kv_each
    return FormatPlan(
        weights_format=name,
        weights=weights,
        kv=users * kv_each,
        needed=needed,
        fits=needed <= machine.memory,
        most_context=_most_context(shape, room) if loads else 0,
        tokens_per_s=machine.bandwidth / read if machine.bandwidth else None,
    )


def _most_context(shape: ModelShape, room: int) -> int:
    """Return the largest context whose kept tokens are at most ``room``."""
    low, high = 0, shape.context
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if shape.kept_tokens(middle) <= room else (low, middle - 1)
    return low
