"""The layer on a GPU, kernel by kernel: sort the tokens by expert, two products, one sum.

Nothing is read back from the device on the way: the grids are as large as the worst routing could
need, and a program without work ends at once. Tiles are chosen from sizes alone, never by timing,
so a call's result does not depend on an earlier one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import triton
import triton.language as tl

from agentkit.errors import ModelError
from agentkit.model.kernels.layer import Gate, Weighting

from .layer import check_interpreter
from .products import combine_rows, down_rows, gate_up_rows
from .routing import count_slots, lay_out, place_rows, route_tokens

if TYPE_CHECKING:
    from .layer import GpuExperts, GpuShape

__all__ = ["Tiles", "choose_tiles", "run_experts", "run_routed"]

_DOTS = {
    torch.float32: tl.float32,
    torch.bfloat16: tl.bfloat16,
    torch.float16: tl.float16,
}
_BLOCK_T = 8
_COLUMNS = 64
_MOST_ROWS = 128
_ROUTER_TILE = 16384
_LAYOUT_TILE = 4096


class Tiles(NamedTuple):
    """Rows, columns and inputs of one step of a product, and the warps that do it."""

    rows: int
    columns: int
    inputs: int
    warps: int


class _Sorted(NamedTuple):
    """``rows``: int32 [places], -1 where a block is filled up; ``ends``: int32 [matrices]."""

    rows: torch.Tensor
    ends: torch.Tensor
    tiles: int


def choose_tiles(rows: int, shape: GpuShape, *, wide: bool) -> Tiles:
    """Return the tiles for ``rows`` rows in all; ``wide``: products in fp32."""
    block = 16
    while block < min(_MOST_ROWS, -(-rows // shape.matrices)):
        block *= 2
    inputs = 32 if wide or shape.group == 32 else 64  # noqa: PLR2004 - the smallest group; a step stays inside one
    return Tiles(block, _COLUMNS, inputs, 8 if block == _MOST_ROWS else 4)


def run_experts(
    x: torch.Tensor, ids: torch.Tensor, scores: torch.Tensor, packed: GpuExperts
) -> torch.Tensor:
    """Do what ``reference_experts`` does, on the device of ``packed``.

    ``x``: [tokens, hidden] fp32, bf16 or fp16; ``ids``: [tokens, top_k], one outside the experts
    takes no part; ``scores``: [tokens, top_k]. Raises ``ModelError`` for other sizes and devices.
    """
    shape = packed.shape
    _check("x", x, (len(x), shape.hidden), packed)
    _check("ids", ids, (len(x), shape.top_k), packed)
    _check("scores", scores, (len(x), shape.top_k), packed)
    x, ids = x.detach().contiguous(), ids.to(torch.int64).contiguous()
    scores = scores.detach().to(torch.float32).contiguous()
    if not len(x):
        return torch.empty_like(x)
    with torch.cuda.device(x.get_device()):
        counts = _empty_counts(x, shape)
        count_slots[(len(counts),)](ids, counts, len(x), **_slots(shape), BLOCK_E=_block_e(shape))
        return _run_sorted(x, ids, scores, counts, packed)


def run_routed(x: torch.Tensor, packed: GpuExperts) -> tuple[torch.Tensor, torch.Tensor]:
    """Do what ``reference_routed`` does, on the device of ``packed``; ``x`` as above."""
    shape, router = packed.shape, packed.router
    if router is None:
        raise ModelError(
            "these packed weights have no router",
            cure="pack them with the router, or route in the model and call experts_forward",
        )
    _check("x", x, (len(x), shape.hidden), packed)
    x = x.detach().contiguous()
    logits = torch.empty(len(x), shape.experts, dtype=torch.float32, device=x.device)
    if not len(x):
        return torch.empty_like(x), logits
    ids = torch.empty(len(x), shape.top_k, dtype=torch.int64, device=x.device)
    scores = torch.empty(len(x), shape.top_k, dtype=torch.float32, device=x.device)
    with torch.cuda.device(x.get_device()):
        counts = _empty_counts(x, shape)
        block_e = _block_e(shape)
        route_tokens[(len(counts),)](
            x,
            router,
            logits,
            ids,
            scores,
            counts,
            len(x),
            shape.hidden,
            **_slots(shape),
            BLOCK_E=block_e,
            BLOCK_K=min(64, max(1, _ROUTER_TILE // (_BLOCK_T * block_e))),
        )
        return _run_sorted(x, ids, scores, counts, packed), logits


def _run_sorted(
    x: torch.Tensor,
    ids: torch.Tensor,
    scores: torch.Tensor,
    counts: torch.Tensor,
    packed: GpuExperts,
) -> torch.Tensor:
    """Run everything after the counting."""
    shape = packed.shape
    slots = shape.top_k + int(shape.shared)
    factors = _factors(x, packed)
    tiles = choose_tiles(len(x) * slots, shape, wide=factors is torch.float32)
    at_input = shape.weighting is Weighting.INPUT
    order = _sort(ids, counts, shape, tiles)
    inner = torch.empty(len(order.rows), shape.intermediate, dtype=factors, device=x.device)
    common = {
        "MATRICES": shape.matrices,
        "GROUP": shape.group,
        "DOT": _dot(factors),
        "BLOCK_M": tiles.rows,
        "BLOCK_N": tiles.columns,
        "BLOCK_K": tiles.inputs,
        "BLOCK_E": _block_e(shape),
        "num_warps": tiles.warps,
    }
    gate_up_rows[(order.tiles * triton.cdiv(shape.intermediate, tiles.columns),)](
        x,
        scores,
        packed.gate_up,
        packed.gate_up_scales,
        packed.gate_up_bias,
        order.rows,
        order.ends,
        inner,
        shape.hidden,
        shape.intermediate,
        order.tiles,
        shape.gate_alpha,
        shape.gate_limit,
        TOP_K=shape.top_k,
        SLOTS=slots,
        AT_INPUT=at_input,
        CLAMPED=shape.gate is Gate.CLAMPED_SWIGLU,
        **common,
    )
    outputs = torch.empty(len(x) * slots, shape.hidden, dtype=torch.float32, device=x.device)
    down_rows[(order.tiles * triton.cdiv(shape.hidden, tiles.columns),)](
        inner,
        packed.down,
        packed.down_scales,
        packed.down_bias,
        order.rows,
        order.ends,
        outputs,
        shape.hidden,
        shape.intermediate,
        order.tiles,
        **common,
    )
    out = torch.empty_like(x)
    grid = (triton.cdiv(len(x), _BLOCK_T), triton.cdiv(shape.hidden, 2 * _COLUMNS))
    combine_rows[grid](
        outputs,
        ids,
        scores,
        out,
        len(x),
        shape.hidden,
        **_slots(shape),
        AT_INPUT=at_input,
        BLOCK_N=2 * _COLUMNS,
    )
    return out


def _sort(ids: torch.Tensor, counts: torch.Tensor, shape: GpuShape, tiles: Tiles) -> _Sorted:
    """Sort the rows by expert; ``counts``: int32 [blocks, matrices]."""
    blocks = len(counts)
    rows = len(ids) * (shape.top_k + int(shape.shared))
    # Each expert with rows may leave one block of them partly filled.
    most = (rows + min(rows, shape.matrices) * (tiles.rows - 1)) // tiles.rows
    places = torch.full((most * tiles.rows,), -1, dtype=torch.int32, device=ids.device)
    before = torch.empty_like(counts)
    starts, ends = torch.empty(2, shape.matrices, dtype=torch.int32, device=ids.device)
    block_e = _block_e(shape)
    lay_out[(1,)](
        counts,
        before,
        starts,
        ends,
        blocks,
        MATRICES=shape.matrices,
        BLOCK_B=max(1, _LAYOUT_TILE // block_e),
        BLOCK_E=block_e,
        BLOCK_M=tiles.rows,
    )
    constants = _slots(shape)
    place_rows[(blocks,)](
        ids,
        before,
        starts,
        places,
        len(ids),
        **constants,
        BLOCK_S=triton.next_power_of_2(constants["SLOTS"]),
    )
    return _Sorted(places, ends, most)


def _slots(shape: GpuShape) -> dict[str, int]:
    """Return the constants that all kernels around the products share."""
    return {
        "EXPERTS": shape.experts,
        "TOP_K": shape.top_k,
        "SLOTS": shape.top_k + int(shape.shared),
        "BLOCK_T": _BLOCK_T,
    }


def _block_e(shape: GpuShape) -> int:
    return int(triton.next_power_of_2(shape.matrices))


def _empty_counts(x: torch.Tensor, shape: GpuShape) -> torch.Tensor:
    blocks = triton.cdiv(len(x), _BLOCK_T)
    return torch.empty(blocks, shape.matrices, dtype=torch.int32, device=x.device)


def _factors(x: torch.Tensor, packed: GpuExperts) -> torch.dtype:
    """Return the format in which rows and weights are multiplied: fp32 unless both are narrower."""
    if packed.shape.weights.quantised or packed.gate_up.dtype is x.dtype:
        return x.dtype
    return torch.float32


def _dot(factors: torch.dtype) -> tl.dtype:
    """Return the factors' Triton type; numpy has no bf16, so the interpreter multiplies in fp32."""
    if triton.knobs.runtime.interpret and factors is torch.bfloat16:
        return tl.float32
    return _DOTS[factors]


def _check(name: str, tensor: torch.Tensor, size: tuple[int, int], packed: GpuExperts) -> None:
    """Keep the kernels from reading past a tensor's end or from another device."""
    if tuple(tensor.shape) != size:
        raise ModelError(
            f"{name} is {list(tensor.shape)}, the packed layer wants {list(size)}",
            cure="pass tokens of the layer's hidden size, and top_k experts for each",
        )
    if tensor.device != packed.gate_up.device:
        raise ModelError(
            f"{name} is on {tensor.device}, the packed layer on {packed.gate_up.device}",
            cure="move the model to its device before its experts are packed",
        )
    if tensor.device.type == "cpu":
        check_interpreter()
    if name == "x" and tensor.dtype not in _DOTS:
        raise ModelError(f"activations in {tensor.dtype}", cure="use float32, bfloat16 or float16")
