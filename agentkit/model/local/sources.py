"""Where each weight of a model lies in a checkpoint, whatever the checkpoint calls it.

A model of transformers has the experts of a layer in two tensors; most checkpoints hold three
matrices for each expert. Names also differ by a prefix (the text part of a multimodal model) and
by a few historical words. Everything is read lazily: one expert at a time.

    qwen3_moe, olmoe, glm4_moe, deepseek_v3    mlp.experts.N.{gate,up,down}_proj.weight
    mixtral                                    block_sparse_moe.experts.N.{w1,w3,w2}.weight
    granitemoe                                 {input,output}_linear.weight, [experts, out, in]
    gpt_oss                                    experts.gate_up_proj, [experts, in, out], interleaved
    llama4                                     experts.gate_up_proj, [experts, in, out]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, overload

import torch

from agentkit.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, KeysView

    from agentkit.model.kernels.packing import ExpertWeights

__all__ = ["CheckpointWeights", "ExpertSource", "LazyExperts", "TensorSource"]

_RENAMED = (
    (".mlp.", ".block_sparse_moe."),
    (".experts.gate_up_proj", ".input_linear.weight"),
    (".experts.down_proj", ".output_linear.weight"),
    (".router.weight", ".router.layer.weight"),
)
_SINGLE = (("gate_proj", "up_proj", "down_proj"), ("w1", "w3", "w2"))


class TensorSource(Protocol):
    """Tensors by name: a ``ShardReader``, or one with adapters merged on the way."""

    @property
    def names(self) -> KeysView[str]:
        """The names of all tensors."""
        ...

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor; ``KeyError`` if there is none."""
        ...

    def read(self, name: str, index: int | None = None) -> torch.Tensor:
        """Return a tensor, or its part ``[index]``."""
        ...


class ExpertSource(Protocol):
    """Something that gives the three matrices of expert ``number``, [inputs, outputs] each."""

    def __call__(self, number: int, /) -> ExpertWeights:
        """Read one expert."""
        ...


class LazyExperts(Sequence["ExpertWeights"]):
    """``count`` experts, each read when it is asked for and kept by nobody."""

    def __init__(self, count: int, source: ExpertSource) -> None:
        self._count = count
        self._source = source

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> ExpertWeights: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ExpertWeights]: ...
    def __getitem__(self, index: int | slice) -> ExpertWeights | Sequence[ExpertWeights]:
        if isinstance(index, slice):
            return [self._source(number) for number in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        return self._source(index)


class CheckpointWeights:
    """A checkpoint's tensors under the names of transformers' model.

    ``tied``: model names that are another's tensor where the checkpoint does not hold them.
    """

    def __init__(
        self, source: TensorSource, *, place: str, tied: dict[str, str] | None = None
    ) -> None:
        self._source = source
        self._place = place
        self._tied = tied or {}

    def find(self, name: str) -> str | None:
        """Return what the checkpoint calls the model's ``name``, or None if it has no such."""
        found = next((one for one in _candidates(name) if one in self._source.names), None)
        if found is None and name in self._tied:
            return self.find(self._tied[name])
        return found

    def holds(self, name: str) -> bool:
        """Whether the checkpoint has a tensor of its own for the model's ``name``."""
        return any(one in self._source.names for one in _candidates(name))

    def shape(self, stored: str) -> tuple[int, ...]:
        """Return the shape of a tensor by the checkpoint's own name."""
        return self._source.shape(stored)

    def has(self, name: str) -> bool:
        """Whether the model's ``name`` can be read, in one tensor or expert by expert."""
        return self.find(name) is not None or self._single(name) is not None

    def read(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        """Return the model's ``name`` in the checkpoint's own format."""
        stored = self.find(name)
        if stored is not None:
            return self._checked(name, self._source.read(stored), shape)
        if self._single(name) is None:
            raise self._missing(name)
        parts = [self._fused(name, number, shape[1:]) for number in range(shape[0])]
        return torch.stack(parts)

    def part(self, name: str, number: int, shape: tuple[int, ...]) -> torch.Tensor:
        """Return ``[number]`` of the model's ``name``, whose whole has ``shape``."""
        stored = self.find(name)
        if stored is None:
            return self._fused(name, number, shape[1:])
        return self._checked(name, self._source.read(stored, number), shape[1:])

    def _fused(self, name: str, number: int, shape: tuple[int, ...]) -> torch.Tensor:
        """Put together what the checkpoint holds expert by expert, as [out, in]."""
        single = self._single(name)
        if single is None:
            raise self._missing(name)
        stem, (gate, up, down) = single
        words = (gate, up) if name.endswith("gate_up_proj") else (down,)
        names = [f"{stem}.{number}.{word}.weight" for word in words]
        for one in names:
            if one not in self._source.names:
                raise self._missing(one)
        tensors = [self._source.read(one) for one in names]
        return self._checked(name, torch.cat(tensors) if len(tensors) > 1 else tensors[0], shape)

    def _single(self, name: str) -> tuple[str, tuple[str, str, str]] | None:
        """Find ``stem`` and words of ``stem.N.word.weight`` for a fused experts' tensor."""
        stem, _, last = name.rpartition(".")
        if last not in {"gate_up_proj", "down_proj"} or not stem.endswith(".experts"):
            return None
        for other in _candidates(stem):
            for words in _SINGLE:
                if f"{other}.0.{words[0]}.weight" in self._source.names:
                    return other, words
        return None

    def _checked(self, name: str, tensor: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        if tuple(tensor.shape) != tuple(shape):
            raise ModelError(
                f"{name} is {list(tensor.shape)} in the files, config.json makes it {list(shape)}",
                cure="copy or download the model again; config.json must belong to these weights",
                place=self._place,
            )
        if not tensor.dtype.is_floating_point or tensor.dtype.itemsize < 2:  # noqa: PLR2004 - bytes of a half
            raise ModelError(
                f"{name} is stored as {str(tensor.dtype).removeprefix('torch.')}; checkpoints that"
                " are quantised already are not loaded",
                cure="use the model's bfloat16 checkpoint and choose weights: int8 or int4",
                place=self._place,
            )
        return tensor

    def _missing(self, name: str) -> ModelError:
        return ModelError(
            f"the weight {name} is not in the files",
            cure="copy or download the model again; config.json must belong to these weights",
            place=self._place,
        )


def _candidates(name: str) -> Iterator[str]:
    """Yield the names under which checkpoints have a model's tensor."""
    words = [name]
    for ours, theirs in _RENAMED:
        words += [word.replace(ours, theirs) for word in words if ours in word]
    for word in words:
        yield word
        yield f"language_model.{word}"
        if word.startswith("model."):
            yield f"model.language_model.{word.removeprefix('model.')}"
