"""What a model is filled from: one ``Part`` for each thing that is read, packed and put in place.

A part is made twice: ``read`` turns the checkpoint into tensors (packing, quantising), ``put``
turns tensors, fresh or from the packed cache, into a working piece of the model. Both are the same
tensors by name, so the cache knows nothing of what they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import nn

from agentkit.model.kernels.experts import attach_packed, experts_shape, fits_kernel
from agentkit.model.kernels.layer import MoeShape, PackedExperts, Weighting, Weights
from agentkit.model.kernels.packing import ExpertWeights, pack_experts
from agentkit.model.local.fused import FusedMoe, block_fits
from agentkit.model.local.linears import PackedLinear, linear_shape, pack_linear
from agentkit.model.local.skeleton import put_tensor
from agentkit.model.local.sources import LazyExperts

if TYPE_CHECKING:
    from agentkit.model.local.routing import RoutedMoe
    from agentkit.model.local.sources import CheckpointWeights

__all__ = ["ExpertsPart", "LinearPart", "Part", "RoutedPart", "TensorPart", "Tensors"]

Tensors = dict[str, torch.Tensor]

_FIELDS = (
    "gate_up",
    "down",
    "gate_up_scales",
    "down_scales",
    "gate_up_bias",
    "down_bias",
    "router",
)


class Part(Protocol):
    """One piece of a model. ``name``: the parameter or module in the model."""

    @property
    def name(self) -> str:
        """The parameter or module."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors in memory."""
        ...

    def read(self, weights: CheckpointWeights) -> Tensors:
        """Return the piece's tensors from the checkpoint."""
        ...

    def put(self, model: nn.Module, tensors: Tensors) -> None:
        """Make the piece of ``model`` out of its tensors."""
        ...


@dataclass(frozen=True, slots=True)
class TensorPart:
    """A tensor as it is, in the model's format."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self, weights: CheckpointWeights) -> Tensors:
        """Read it."""
        return {self.name: weights.read(self.name, self.shape).to(self.dtype)}

    def put(self, model: nn.Module, tensors: Tensors) -> None:
        """Put it in place."""
        put_tensor(model, self.name, tensors[self.name])


@dataclass(frozen=True, slots=True)
class LinearPart:
    """A linear layer in int8 or int4. ``bias``: the format of its bias, None without one."""

    name: str
    shape: MoeShape
    bias: torch.dtype | None

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors in memory."""
        return _bytes(self.shape, self.shape.padded_hidden * self.shape.padded_intermediate)

    @classmethod
    def of(cls, name: str, module: nn.Linear, weights: Weights, group: int) -> LinearPart:
        """Describe ``module``."""
        shape = linear_shape(module.in_features, module.out_features, weights, group)
        return cls(
            name, shape, module.bias.dtype if "bias" in dict(module.named_parameters()) else None
        )

    def read(self, weights: CheckpointWeights) -> Tensors:
        """Read and quantise it."""
        size = (self.shape.hidden, self.shape.intermediate)
        words, scales = pack_linear(weights.read(f"{self.name}.weight", size), self.shape)
        found = {f"{self.name}#words": words}
        if scales is not None:
            found[f"{self.name}#scales"] = scales
        if self.bias is not None:
            bias = weights.read(f"{self.name}.bias", size[:1])
            found[f"{self.name}#bias"] = bias.to(self.bias)
        return found

    def put(self, model: nn.Module, tensors: Tensors) -> None:
        """Replace the linear layer."""
        words = tensors[f"{self.name}#words"]
        scales, bias = (tensors.get(f"{self.name}#{field}") for field in ("scales", "bias"))
        _replace(model, self.name, PackedLinear(self.shape, words, scales, bias))


@dataclass(frozen=True, slots=True)
class RoutedPart:
    """One of Llama 4's blocks: router, experts and shared expert, packed."""

    name: str
    shape: MoeShape

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors in memory."""
        return _experts_bytes(self.shape) + 4 * self.shape.experts * self.shape.padded_hidden

    @classmethod
    def of(cls, name: str, block: RoutedMoe, weights: Weights, group: int) -> RoutedPart | None:
        """Describe ``block``; None if the kernel does not compute what it computes."""
        if not block_fits(block):
            return None
        down: torch.Tensor = block.experts.down_proj  # type: ignore[assignment]  # nn.Module types all as Tensor | Module
        shape = MoeShape(
            hidden=down.shape[2],
            intermediate=down.shape[1],
            experts=len(down),
            top_k=block.top_k,
            weights=weights,
            group=group if weights.quantised else 0,
            shared=True,
            weighting=Weighting.INPUT,
        )
        return cls(name, shape)

    def read(self, weights: CheckpointWeights) -> Tensors:
        """Pack it, one expert in memory at a time."""
        shape = self.shape
        hidden, inner, experts = shape.hidden, shape.intermediate, shape.experts

        def expert(number: int) -> ExpertWeights:
            if number == experts:
                stem = f"{self.name}.shared_expert"
                gate = weights.read(f"{stem}.gate_proj.weight", (inner, hidden))
                up = weights.read(f"{stem}.up_proj.weight", (inner, hidden))
                return gate.T, up.T, weights.read(f"{stem}.down_proj.weight", (hidden, inner)).T
            stem = f"{self.name}.experts"
            both = weights.part(f"{stem}.gate_up_proj", number, (experts, hidden, 2 * inner))
            down = weights.part(f"{stem}.down_proj", number, (experts, inner, hidden))
            return both[:, :inner], both[:, inner:], down

        router = weights.read(f"{self.name}.router.weight", (experts, hidden))
        lazy = LazyExperts(shape.matrices, expert)
        return _named(self.name, pack_experts(shape, lazy, router=router))

    def put(self, model: nn.Module, tensors: Tensors) -> None:
        """Replace the block."""
        _replace(model, self.name, FusedMoe(_packed(self.name, self.shape, tensors)))


@dataclass(frozen=True, slots=True)
class ExpertsPart:
    """The experts of one layer of a family on transformers' experts interface, packed.

    ``transposed``: stored [experts, in, out]; ``interleaved``: gate and up columns alternate.
    """

    name: str
    shape: MoeShape
    transposed: bool
    interleaved: bool
    biased: bool

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors in memory."""
        return _experts_bytes(self.shape)

    @classmethod
    def of(cls, name: str, module: nn.Module, weights: Weights, group: int) -> ExpertsPart | None:
        """Describe ``module``; None if the kernel does not compute what it computes."""
        if not fits_kernel(module):
            return None
        return cls(
            name,
            experts_shape(module, weights, group),
            bool(module.is_transposed),
            not module.is_concatenated,
            bool(module.has_bias),
        )

    def read(self, weights: CheckpointWeights) -> Tensors:
        """Pack them, one expert in memory at a time."""
        shape, inner = self.shape, self.shape.intermediate
        inward, outward = (shape.hidden, 2 * inner), (inner, shape.hidden)
        if not self.transposed:
            inward, outward = inward[::-1], outward[::-1]

        def expert(number: int) -> ExpertWeights:
            both = weights.part(f"{self.name}.gate_up_proj", number, (shape.experts, *inward))
            down = weights.part(f"{self.name}.down_proj", number, (shape.experts, *outward))
            if not self.transposed:
                both, down = both.T, down.T
            return *self._halves(both), down

        gate_bias = up_bias = down_bias = None
        if self.biased:
            both = weights.read(f"{self.name}.gate_up_proj_bias", (shape.experts, 2 * inner))
            gate_bias, up_bias = self._halves(both)
            down_bias = weights.read(f"{self.name}.down_proj_bias", (shape.experts, shape.hidden))
        packed = pack_experts(
            shape,
            LazyExperts(shape.experts, expert),
            gate_bias=gate_bias,
            up_bias=up_bias,
            down_bias=down_bias,
        )
        return _named(self.name, packed)

    def put(self, model: nn.Module, tensors: Tensors) -> None:
        """Give the module its packed weights; ``switch_to_kernel`` makes the model use them."""
        module = model.get_submodule(self.name)
        for name in [name for name, _ in module.named_parameters(recurse=False)]:
            put_tensor(module, name, torch.empty(0))
        attach_packed(module, _packed(self.name, self.shape, tensors), release=False)

    def _halves(self, both: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.interleaved:
            return both[..., ::2], both[..., 1::2]
        gate, up = both.chunk(2, dim=-1)
        return gate, up


def _named(name: str, packed: PackedExperts) -> Tensors:
    pairs = zip(_FIELDS, packed.tensors, strict=True)
    return {f"{name}#{field}": tensor for field, tensor in pairs if tensor is not None}


def _packed(name: str, shape: MoeShape, tensors: Tensors) -> PackedExperts:
    gate_up, down = (tensors[f"{name}#{field}"] for field in _FIELDS[:2])
    scales, down_scales, bias, down_bias, router = (
        tensors.get(f"{name}#{field}") for field in _FIELDS[2:]
    )
    return PackedExperts(shape, gate_up, down, scales, down_scales, bias, down_bias, router)


def _experts_bytes(shape: MoeShape) -> int:
    one = 3 * shape.padded_hidden * shape.padded_intermediate
    return shape.matrices * _bytes(shape, one)


def _bytes(shape: MoeShape, numbers: int) -> int:
    """Bytes of that many packed numbers, their scales included."""
    return 4 * numbers // shape.weights.depth + (2 * numbers // shape.group if shape.group else 0)


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    path, _, last = name.rpartition(".")
    setattr(model.get_submodule(path), last, module)
