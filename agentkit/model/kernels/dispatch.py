"""The compiled library: found, checked, loaded once, and called through ctypes.

Loading is lazy and never an error: a machine without a compiler, or a checkout whose library is
older than its sources, runs the torch reference and the log says so once.

``AGENTKIT_KERNELS=off`` leaves the library alone; ``AGENTKIT_KERNEL_LEVEL`` picks an instruction
set (``amx``, ``avx512_bf16``, ``avx512``, ``avx2``, ``portable``) instead of the CPU's best.
"""

from __future__ import annotations

import ctypes
import functools
import os
from typing import TYPE_CHECKING

import structlog
import torch

from agentkit.errors import ModelError

from .build import library_path, sources_digest
from .decode import DECODE_FUNCTIONS, Signatures, check_packed
from .layer import GATE, PANEL

if TYPE_CHECKING:
    from pathlib import Path

    from .layer import PackedExperts

__all__ = [
    "KernelLibrary",
    "LibraryUnusable",
    "NativeLayer",
    "library",
    "native_layer",
    "open_library",
]

_ABI = 1
_ACTIVATIONS = {torch.float32: 0, torch.bfloat16: 1}
_TEAM_SYMBOLS = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")


class LibraryUnusable(Exception):
    """The compiled library is absent or not the one these sources describe."""


class NativeLayer(ctypes.Structure):
    """``agentkit_moe_layer`` of ``src/moe.h``."""

    _fields_ = (
        ("hidden", ctypes.c_int32),
        ("intermediate", ctypes.c_int32),
        ("padded_hidden", ctypes.c_int32),
        ("padded_intermediate", ctypes.c_int32),
        ("experts", ctypes.c_int32),
        ("shared", ctypes.c_int32),
        ("top_k", ctypes.c_int32),
        ("weights", ctypes.c_int32),
        ("group", ctypes.c_int32),
        ("activations", ctypes.c_int32),
        ("gate", ctypes.c_int32),
        ("weighting", ctypes.c_int32),
        ("gate_alpha", ctypes.c_float),
        ("gate_limit", ctypes.c_float),
        ("gate_up", ctypes.c_void_p),
        ("down", ctypes.c_void_p),
        ("gate_up_scales", ctypes.c_void_p),
        ("down_scales", ctypes.c_void_p),
        ("gate_up_bias", ctypes.c_void_p),
        ("down_bias", ctypes.c_void_p),
        ("router", ctypes.c_void_p),
    )


_POINTER, _SIZE = ctypes.c_void_p, ctypes.c_int64
_LAYER = ctypes.POINTER(NativeLayer)
_IDENTITY: Signatures = {
    "agentkit_moe_abi": (ctypes.c_int32, []),
    "agentkit_moe_sources": (ctypes.c_char_p, []),
}
_FUNCTIONS: Signatures = {
    "agentkit_moe_best_level": (ctypes.c_char_p, []),
    "agentkit_moe_level": (ctypes.c_char_p, []),
    "agentkit_moe_use_level": (ctypes.c_int32, [ctypes.c_char_p]),
    "agentkit_moe_use_threads": (None, [ctypes.c_int32]),
    "agentkit_moe_borrow_team": (None, [_POINTER, _POINTER, _POINTER]),
    "agentkit_moe_run": (ctypes.c_int32, [_LAYER, _POINTER, _SIZE, _POINTER, _POINTER, _POINTER]),
    "agentkit_moe_route_and_run": (ctypes.c_int32, [_LAYER, _POINTER, _SIZE, _POINTER, _POINTER]),
    "agentkit_moe_read": (ctypes.c_uint64, [_POINTER, _SIZE]),
}


class KernelLibrary:
    """One loaded library. Calls release the interpreter's lock and are serialised inside."""

    def __init__(self, path: Path) -> None:
        try:
            self._c = ctypes.CDLL(str(path))
        except OSError as error:
            raise LibraryUnusable(f"{path.name} cannot be loaded: {error}") from error
        # Who it is comes first: a library of other sources may lack what is declared behind it.
        self._declare(_IDENTITY)
        if self._c.agentkit_moe_abi() != _ABI:
            raise LibraryUnusable(f"{path.name} has another interface version")
        built_from = str(self._c.agentkit_moe_sources().decode())
        if built_from != sources_digest():
            raise LibraryUnusable(f"{path.name} was built from other sources")
        self._declare(_FUNCTIONS)
        self._declare(DECODE_FUNCTIONS)
        self._threads = 0
        self.team = "own"
        self.borrow_torch_team()

    def _declare(self, signatures: Signatures) -> None:
        for name, (result, arguments) in signatures.items():
            try:
                function = getattr(self._c, name)
            except AttributeError as error:
                raise LibraryUnusable(f"the library has no {name}") from error
            function.restype = result
            function.argtypes = arguments

    @property
    def functions(self) -> ctypes.CDLL:
        """The C functions, declared; call ``follow_torch_threads`` before one that computes."""
        return self._c

    def borrow_torch_team(self) -> None:
        """Work on torch's OpenMP threads where they can be had, else stay with own ones."""
        try:
            process = ctypes.CDLL(None)
            symbols = [
                ctypes.cast(getattr(process, name), ctypes.c_void_p) for name in _TEAM_SYMBOLS
            ]
        except (AttributeError, OSError):
            return
        self._c.agentkit_moe_borrow_team(*symbols)
        self.team = "torch's OpenMP"

    def use_own_team(self) -> None:
        """Work on the library's own threads, parked between calls."""
        self._c.agentkit_moe_borrow_team(None, None, None)
        self.team = "own"

    @property
    def best_level(self) -> str:
        """The best instruction set of this CPU."""
        return str(self._c.agentkit_moe_best_level().decode())

    @property
    def level(self) -> str:
        """The instruction set in use."""
        return str(self._c.agentkit_moe_level().decode())

    def use_level(self, name: str) -> bool:
        """Use another instruction set; False, and no change, if this CPU lacks it."""
        return bool(self._c.agentkit_moe_use_level(name.encode()))

    def read(self, data: torch.Tensor) -> int:
        """Read all bytes of ``data`` once with all threads: a probe of the memory bandwidth."""
        self.follow_torch_threads()
        return int(self._c.agentkit_moe_read(data.data_ptr(), data.nbytes))

    def run(
        self, x: torch.Tensor, ids: torch.Tensor, scores: torch.Tensor, packed: PackedExperts
    ) -> torch.Tensor:
        """Do what ``reference_experts`` does; all tensors contiguous on the CPU."""
        tokens = x.shape[0]  # len() of a tensor takes a microsecond
        _check_size("x", x, (tokens, packed.shape.hidden))
        _check_size("ids", ids, (tokens, packed.shape.top_k))
        _check_size("scores", scores, (tokens, packed.shape.top_k))
        self.follow_torch_threads()
        out = torch.empty_like(x)
        status = self._c.agentkit_moe_run(
            _native(packed, x.dtype),
            x.data_ptr(),
            tokens,
            ids.data_ptr(),
            scores.data_ptr(),
            out.data_ptr(),
        )
        _check(status)
        return out

    def run_routed(
        self, x: torch.Tensor, packed: PackedExperts
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Do what ``reference_routed`` does; ``x`` contiguous on the CPU."""
        tokens = x.shape[0]
        _check_size("x", x, (tokens, packed.shape.hidden))
        self.follow_torch_threads()
        out = torch.empty_like(x)
        logits = torch.empty(tokens, packed.shape.experts)
        status = self._c.agentkit_moe_route_and_run(
            _native(packed, x.dtype), x.data_ptr(), tokens, logits.data_ptr(), out.data_ptr()
        )
        _check(status)
        return out, logits

    def follow_torch_threads(self) -> None:
        """Use as many threads as torch does now."""
        threads = torch.get_num_threads()
        if threads != self._threads:
            self._c.agentkit_moe_use_threads(threads)
            self._threads = threads


def _check_size(name: str, tensor: torch.Tensor, size: tuple[int, int]) -> None:
    """Keep C++ from reading past a tensor's end."""
    if tensor.shape != size:
        raise ModelError(
            f"{name} is {list(tensor.shape)}, the packed layer wants {list(size)}",
            cure="pass tokens of the layer's hidden size, and top_k experts for each",
        )


def _check(status: int) -> None:
    if status:
        reason = {1: "the layer is not one it can run", 2: "there is no memory left"}
        raise ModelError(
            f"the expert kernel refused: {reason.get(status, status)}",
            cure="pack the weights again, or run fewer tokens at once",
        )


def _native(packed: PackedExperts, activations: torch.dtype) -> object:
    """Return the C struct of ``packed``, made once for each dtype of the activations."""
    known = packed._native.get(activations)  # noqa: SLF001 - the struct's cache is meant for here
    if known is None:
        known = ctypes.byref(native_layer(packed, activations))
        packed._native[activations] = known  # noqa: SLF001 - as above
    return known


def native_layer(packed: PackedExperts, activations: torch.dtype) -> NativeLayer:
    """Return a new C struct of ``packed``; it points into the tensors, which must outlive it.

    Raises ``ModelError`` for a tensor that is not as ``PackedExperts`` describes it: C++ would read
    past its end.
    """
    shape = packed.shape
    _check_tensors(packed)
    return NativeLayer(
        shape.hidden,
        shape.intermediate,
        shape.padded_hidden,
        shape.padded_intermediate,
        shape.experts,
        int(shape.shared),
        shape.top_k,
        shape.weights.value,
        shape.group,
        _ACTIVATIONS[activations],
        shape.gate.value,
        shape.weighting.value,
        shape.gate_alpha,
        shape.gate_limit,
        *(None if tensor is None else tensor.data_ptr() for tensor in packed.tensors),
    )


def _check_tensors(packed: PackedExperts) -> None:
    shape = packed.shape
    hidden, inner = shape.padded_hidden, shape.padded_intermediate
    for name, words, scales, panels, inputs in (
        ("gate_up", packed.gate_up, packed.gate_up_scales, inner // GATE, hidden),
        ("down", packed.down, packed.down_scales, hidden // PANEL, inner),
    ):
        size = (shape.matrices, *shape.word_size(panels, inputs))
        check_packed(name, words, torch.int32, size)
        if shape.weights.quantised:
            size = (shape.matrices, *shape.scale_size(panels, inputs))
            check_packed(f"{name}_scales", scales, torch.bfloat16, size)
    for name, tensor, wanted in (
        ("gate_up_bias", packed.gate_up_bias, (shape.matrices, inner // GATE, PANEL)),
        ("down_bias", packed.down_bias, (shape.matrices, hidden)),
        ("router", packed.router, (shape.experts, hidden)),
    ):
        if tensor is not None:
            check_packed(name, tensor, torch.float32, wanted)


def open_library(path: Path | None = None) -> KernelLibrary:
    """Load the library; raises ``LibraryUnusable`` with the reason in one line."""
    path = path or library_path()
    if os.environ.get("AGENTKIT_KERNELS") == "off":
        raise LibraryUnusable("switched off by AGENTKIT_KERNELS=off")
    if not path.exists():
        raise LibraryUnusable("not built")
    opened = KernelLibrary(path)
    wanted = os.environ.get("AGENTKIT_KERNEL_LEVEL")
    if wanted and not opened.use_level(wanted):
        raise ModelError(
            f"AGENTKIT_KERNEL_LEVEL={wanted}: this CPU or this build has no such level",
            cure=f"unset it, or use {opened.best_level}",
        )
    return opened


@functools.cache
def library() -> KernelLibrary | None:
    """Return the library, or None where it is unusable; the reason is logged once."""
    log = structlog.get_logger()
    try:
        opened = open_library()
    except LibraryUnusable as reason:
        log.warning(
            "expert_kernel_absent",
            reason=str(reason),
            effect="experts run in plain torch: correct, and slower",
            cure="python -m agentkit.model.kernels",
        )
        return None
    log.debug("expert_kernel", instructions=opened.level, threads=opened.team)
    return opened
