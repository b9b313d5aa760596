"""The decode step's C interface (``src/decode.h``) as ctypes structures and functions.

Structures point into tensors and do not own them: whoever makes one keeps its tensors alive.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import torch

from agentkit.errors import ModelError

from .layer import PANEL

if TYPE_CHECKING:
    from .dispatch import KernelLibrary
    from .layer import MoeShape

__all__ = [
    "DECODE_FUNCTIONS",
    "NativeDecoderLayer",
    "NativeDecoderShape",
    "NativeKv",
    "NativeLinear",
    "NativeRow",
    "Signatures",
    "check_packed",
    "check_step",
    "linear_bias",
    "native_linear",
    "run_linear",
]

_FORMATS = {torch.float32: 0, torch.bfloat16: 1}


class NativeLinear(ctypes.Structure):
    """``agentkit_linear``."""

    _fields_ = (
        ("inputs", ctypes.c_int32),
        ("outputs", ctypes.c_int32),
        ("padded_inputs", ctypes.c_int32),
        ("padded_outputs", ctypes.c_int32),
        ("weights", ctypes.c_int32),
        ("group", ctypes.c_int32),
        ("words", ctypes.c_void_p),
        ("scales", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
    )


class NativeDecoderLayer(ctypes.Structure):
    """``agentkit_decoder_layer``."""

    _fields_ = (
        ("attention_norm", ctypes.c_void_p),
        ("feed_forward_norm", ctypes.c_void_p),
        ("query", NativeLinear),
        ("key", NativeLinear),
        ("value", NativeLinear),
        ("output", NativeLinear),
        ("rotary", ctypes.c_int32),
        ("qk_norm", ctypes.c_int32),
        ("tuned", ctypes.c_int32),
        ("chunk", ctypes.c_int32),
        ("experts", ctypes.c_void_p),
        ("gate", NativeLinear),
        ("up", NativeLinear),
        ("down", NativeLinear),
    )


class NativeDecoderShape(ctypes.Structure):
    """``agentkit_decoder``."""

    _fields_ = (
        ("hidden", ctypes.c_int32),
        ("heads", ctypes.c_int32),
        ("kv_heads", ctypes.c_int32),
        ("head_dim", ctypes.c_int32),
        ("layers", ctypes.c_int32),
        ("cache_format", ctypes.c_int32),
        ("norm_eps", ctypes.c_float),
        ("attention_factor", ctypes.c_float),
        ("rotary_factor", ctypes.c_float),
        ("tuning_floor", ctypes.c_float),
        ("tuning_strength", ctypes.c_float),
        ("embedding", ctypes.c_void_p),
        ("vocabulary", ctypes.c_int32),
        ("embedding_format", ctypes.c_int32),
        ("frequencies", ctypes.c_void_p),
        ("norm", ctypes.c_void_p),
        ("lm_head", NativeLinear),
        ("layer", ctypes.POINTER(NativeDecoderLayer)),
    )


class NativeKv(ctypes.Structure):
    """``agentkit_kv``."""

    _fields_ = (
        ("keys", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
        ("capacity", ctypes.c_int64),
        ("first", ctypes.c_int64),
    )


class NativeRow(ctypes.Structure):
    """``agentkit_row``."""

    _fields_ = (
        ("token", ctypes.c_int64),
        ("position", ctypes.c_int64),
        ("kv", ctypes.c_void_p),
        ("logits", ctypes.c_void_p),
    )


Signatures = dict[str, tuple[type | None, list[type]]]
"""What C functions return and take, by name."""

_POINTER, _SIZE, _STATUS = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
DECODE_FUNCTIONS: Signatures = {
    "agentkit_linear_run": (
        _STATUS,
        [ctypes.POINTER(NativeLinear), _POINTER, ctypes.c_int32, _SIZE, _POINTER],
    ),
    "agentkit_decode_open": (_POINTER, [ctypes.POINTER(NativeDecoderShape)]),
    "agentkit_decode_close": (None, [_POINTER]),
    "agentkit_decode_step": (_STATUS, [_POINTER, ctypes.POINTER(NativeRow), _SIZE]),
}


def check_packed(
    name: str, tensor: torch.Tensor | None, dtype: torch.dtype, size: tuple[int, ...]
) -> None:
    """Raise ``ModelError`` unless C++ can read ``tensor`` as ``size`` elements of ``dtype``."""
    if (
        tensor is None
        or not tensor.is_cpu
        or tensor.dtype != dtype
        or tuple(tensor.shape) != size
        or not tensor.is_contiguous()
    ):
        found = "missing" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"
        raise ModelError(
            f"{name} of packed weights is {found}, not {dtype} {list(size)}",
            cure="pack the weights again",
        )


def native_linear(
    shape: MoeShape,
    words: torch.Tensor,
    scales: torch.Tensor | None,
    bias: torch.Tensor | None,
) -> NativeLinear:
    """Describe a linear layer packed as ``down`` of a layer with one expert (``pack_matrix``).

    ``bias``: fp32 [padded outputs], see ``linear_bias``. Raises ``ModelError`` for a tensor of
    another size.
    """
    panels, inputs = shape.padded_hidden // PANEL, shape.padded_intermediate
    check_packed("words", words, torch.int32, shape.word_size(panels, inputs))
    if shape.weights.quantised:
        check_packed("scales", scales, torch.bfloat16, shape.scale_size(panels, inputs))
    if bias is not None:
        check_packed("bias", bias, torch.float32, (shape.padded_hidden,))
    return NativeLinear(
        shape.intermediate,
        shape.hidden,
        shape.padded_intermediate,
        shape.padded_hidden,
        shape.weights.value,
        shape.group,
        *(None if tensor is None else tensor.data_ptr() for tensor in (words, scales, bias)),
    )


def linear_bias(shape: MoeShape, bias: torch.Tensor | None) -> torch.Tensor | None:
    """Return ``bias`` [outputs] in fp32, padded as the outputs are."""
    if bias is None:
        return None
    if tuple(bias.shape) != (shape.hidden,):
        raise ModelError(
            f"the bias is {list(bias.shape)}, the linear layer wants [{shape.hidden}]",
            cure="pass one number for each output",
        )
    missing = shape.padded_hidden - shape.hidden
    return torch.nn.functional.pad(bias.detach().float(), (0, missing)).contiguous()


def run_linear(native: KernelLibrary, linear: NativeLinear, x: torch.Tensor) -> torch.Tensor:
    """Return ``x`` [rows, inputs] times the weights in ``x``'s dtype, fp32 or bf16."""
    if x.dim() != 2 or x.shape[1] != linear.inputs:  # noqa: PLR2004 - rows and inputs
        raise ModelError(
            f"x is {list(x.shape)}, the linear layer wants [rows, {linear.inputs}]",
            cure="pass rows of the layer's inputs",
        )
    x = x.detach().resolve_neg().contiguous()
    out = torch.empty((len(x), linear.outputs), dtype=x.dtype)
    native.follow_torch_threads()
    status = native.functions.agentkit_linear_run(
        ctypes.byref(linear), x.data_ptr(), _FORMATS[x.dtype], len(x), out.data_ptr()
    )
    check_step(status)
    return out


def check_step(status: int) -> None:
    """Raise ``ModelError`` for a call that was refused."""
    if status:
        reason = {1: "the layers or rows are not ones it can run", 2: "there is no memory left"}
        raise ModelError(
            f"the decode kernel refused: {reason.get(status, status)}",
            cure="load the model again, or run fewer streams at once",
        )
