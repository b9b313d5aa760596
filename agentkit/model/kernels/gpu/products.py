"""The grouped products over sorted rows, and the sum of each token's rows.

``gate_up_rows``: gathers its rows, multiplies by gate and up at once, and ends in SwiGLU.
``down_rows``: multiplies that by down and scatters the rows back. ``combine_rows``: adds a token's
rows slot by slot, in fp32, so that no run differs from another.

A quantised weight meets the tensor cores as the whole number (or fp8 value) that it is, which
bf16 and fp16 hold exactly; its group's scale multiplies the fp32 sum over the group. A score that
belongs on the input multiplies the products before the gate, for (s x) W = s (x W): one rounding
fewer than scaling the row.

Names in capitals are compile-time constants. ``DOT`` is the format of a product's factors.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["combine_rows", "down_rows", "gate_up_rows"]


@triton.jit
def _expert_of_tile(
    tile, ends, MATRICES: tl.constexpr, BLOCK_E: tl.constexpr, BLOCK_M: tl.constexpr
):
    """Count the experts that end before this tile; ``MATRICES`` for a tile after the last."""
    expert = tl.arange(0, BLOCK_E)
    end = tl.load(ends + expert, mask=expert < MATRICES, other=2147483647)
    return tl.sum((end <= tile * BLOCK_M).to(tl.int32), axis=0)


@triton.jit
def _add_product(
    total,
    row,
    weights,
    scales,
    column,
    start,
    inputs,
    columns,
    GROUP: tl.constexpr,
    DOT: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Add ``row`` [m, k] times one tile of ``weights`` [columns, inputs] to ``total`` [m, n]."""
    k = start + tl.arange(0, BLOCK_K)
    inside = (k < inputs)[:, None] & (column < columns)[None, :]
    at = weights + column.to(tl.int64)[None, :] * inputs + k[:, None]
    tile = tl.load(at, mask=inside, other=0)
    if weights.dtype.element_ty == tl.uint8:
        # e4m3 to fp16 by moving sign and the rest: the exponent's bias differs by 8, so the value
        # is 256 times too small, which the scale makes good. Subnormals come out right as well.
        wide = tile.to(tl.uint16)
        bits = ((wide & 0x80) << 8) | ((wide & 0x7F) << 7)
        tile = bits.to(tl.float16, bitcast=True)
    tile = tile.to(DOT)
    if scales is None:
        total = tl.dot(row, tile, total, input_precision="ieee")
    else:
        scale_at = scales + (start // GROUP) * columns + column
        scale = tl.load(scale_at, mask=column < columns, other=0.0).to(tl.float32)
        if weights.dtype.element_ty == tl.uint8:
            scale = scale * 256.0
        total += tl.dot(row, tile, input_precision="ieee") * scale[None, :]
    return total


@triton.jit
def gate_up_rows(
    x,
    scores,
    weights,
    scales,
    bias,
    rows,
    ends,
    inner,
    hidden,
    intermediate,
    tiles,
    gate_alpha,
    gate_limit,
    MATRICES: tl.constexpr,
    TOP_K: tl.constexpr,
    SLOTS: tl.constexpr,
    GROUP: tl.constexpr,
    AT_INPUT: tl.constexpr,
    CLAMPED: tl.constexpr,
    DOT: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_E: tl.constexpr,
):
    """Write ``inner`` [places, intermediate]: SwiGLU of one tile of rows and columns."""
    # Tiles of rows go first, so that neighbours share an expert's weights in the cache.
    tile = tl.program_id(0) % tiles
    column = tl.program_id(0) // tiles * BLOCK_N + tl.arange(0, BLOCK_N)
    expert = _expert_of_tile(tile, ends, MATRICES, BLOCK_E, BLOCK_M)
    if expert >= MATRICES:
        return
    place = tile * BLOCK_M + tl.arange(0, BLOCK_M)
    number = tl.load(rows + place)
    real = number >= 0
    token = number // SLOTS
    slot = number % SLOTS
    row_at = x + token.to(tl.int64)[:, None] * hidden
    gate_weights = weights + expert.to(tl.int64) * 2 * intermediate * hidden
    up_weights = gate_weights + intermediate * hidden
    gate_scales = scales
    up_scales = scales
    if scales is not None:
        groups = (hidden + GROUP - 1) // GROUP
        gate_scales = scales + expert.to(tl.int64) * 2 * groups * intermediate
        up_scales = gate_scales + groups * intermediate
    gate = tl.zeros([BLOCK_M, BLOCK_N], dtype=tl.float32)
    up = tl.zeros([BLOCK_M, BLOCK_N], dtype=tl.float32)
    for start in range(0, hidden, BLOCK_K):
        k = start + tl.arange(0, BLOCK_K)
        row = tl.load(row_at + k[None, :], mask=real[:, None] & (k < hidden)[None, :], other=0.0)
        row = row.to(DOT)
        gate = _add_product(
            gate, row, gate_weights, gate_scales, column, start, hidden, intermediate,
            GROUP, DOT, BLOCK_K,
        )  # fmt: skip
        up = _add_product(
            up, row, up_weights, up_scales, column, start, hidden, intermediate,
            GROUP, DOT, BLOCK_K,
        )  # fmt: skip
    if AT_INPUT:
        scored = real & (slot < TOP_K)
        score = tl.load(scores + token * TOP_K + slot, mask=scored, other=1.0)
        gate *= score[:, None]
        up *= score[:, None]
    wanted = column < intermediate
    if bias is not None:
        bias_at = bias + expert * 2 * intermediate + column
        gate += tl.load(bias_at, mask=wanted, other=0.0)[None, :]
        up += tl.load(bias_at + intermediate, mask=wanted, other=0.0)[None, :]
    if CLAMPED:
        # Comparisons and not tl.minimum, which would lose NaN.
        gate = tl.where(gate > gate_limit, gate_limit, gate)
        up = tl.where(up > gate_limit, gate_limit, up)
        up = tl.where(up < -gate_limit, -gate_limit, up)
        result = (up + 1.0) * gate * tl.sigmoid(gate_alpha * gate)
    else:
        result = up * gate * tl.sigmoid(gate)
    at = inner + place.to(tl.int64)[:, None] * intermediate + column[None, :]
    tl.store(at, result, mask=real[:, None] & wanted[None, :])


@triton.jit
def down_rows(
    inner,
    weights,
    scales,
    bias,
    rows,
    ends,
    outputs,
    hidden,
    intermediate,
    tiles,
    MATRICES: tl.constexpr,
    GROUP: tl.constexpr,
    DOT: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_E: tl.constexpr,
):
    """Write ``outputs`` [tokens * slots, hidden], each row at its number."""
    tile = tl.program_id(0) % tiles
    column = tl.program_id(0) // tiles * BLOCK_N + tl.arange(0, BLOCK_N)
    expert = _expert_of_tile(tile, ends, MATRICES, BLOCK_E, BLOCK_M)
    if expert >= MATRICES:
        return
    place = tile * BLOCK_M + tl.arange(0, BLOCK_M)
    number = tl.load(rows + place)
    real = number >= 0
    row_at = inner + place.to(tl.int64)[:, None] * intermediate
    own = weights + expert.to(tl.int64) * hidden * intermediate
    own_scales = scales
    if scales is not None:
        own_scales = scales + expert.to(tl.int64) * ((intermediate + GROUP - 1) // GROUP) * hidden
    total = tl.zeros([BLOCK_M, BLOCK_N], dtype=tl.float32)
    for start in range(0, intermediate, BLOCK_K):
        k = start + tl.arange(0, BLOCK_K)
        inside = real[:, None] & (k < intermediate)[None, :]
        row = tl.load(row_at + k[None, :], mask=inside, other=0.0).to(DOT)
        total = _add_product(
            total, row, own, own_scales, column, start, intermediate, hidden, GROUP, DOT, BLOCK_K
        )
    wanted = column < hidden
    if bias is not None:
        total += tl.load(bias + expert * hidden + column, mask=wanted, other=0.0)[None, :]
    at = outputs + number.to(tl.int64)[:, None] * hidden + column[None, :]
    tl.store(at, total, mask=real[:, None] & wanted[None, :])


@triton.jit
def combine_rows(
    outputs,
    ids,
    scores,
    out,
    tokens,
    hidden,
    EXPERTS: tl.constexpr,
    TOP_K: tl.constexpr,
    SLOTS: tl.constexpr,
    AT_INPUT: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """Write ``out`` [tokens, hidden]: the sum of a token's rows, one rounding at the end."""
    token = tl.program_id(0) * BLOCK_T + tl.arange(0, BLOCK_T)
    column = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    real = token < tokens
    wanted = real[:, None] & (column < hidden)[None, :]
    total = tl.zeros([BLOCK_T, BLOCK_N], dtype=tl.float32)
    for slot in tl.static_range(SLOTS):
        at = outputs + (token.to(tl.int64) * SLOTS + slot)[:, None] * hidden + column[None, :]
        if slot < TOP_K:
            expert = tl.load(ids + token * TOP_K + slot, mask=real, other=-1)
            takes_part = (expert >= 0) & (expert < EXPERTS)
            row = tl.load(at, mask=wanted & takes_part[:, None], other=0.0)
            if not AT_INPUT:
                score = tl.load(scores + token * TOP_K + slot, mask=takes_part, other=0.0)
                row *= score[:, None]
        else:
            row = tl.load(at, mask=wanted, other=0.0)
        total += row
    tl.store(out + token.to(tl.int64)[:, None] * hidden + column[None, :], total, mask=wanted)
