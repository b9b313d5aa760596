"""From tokens to rows sorted by expert, on the device and without atomics.

A token has ``SLOTS`` slots: its ``TOP_K`` experts, best first, and after them the shared expert
where there is one, which is expert number ``EXPERTS``. A row is one slot of one token and has the
number ``token * SLOTS + slot``. The rows of an expert keep this order (the sort is stable) and
begin at a multiple of ``BLOCK_M``, so that no block of a product meets two experts.

    route_tokens or count_slots   how many rows each block of tokens sends to each expert
    lay_out                       where each expert's rows begin and end
    place_rows                    the rows in their places

Names in capitals are compile-time constants. Integers only are added here, so no order matters.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["count_slots", "lay_out", "place_rows", "route_tokens"]


@triton.jit
def route_tokens(
    x,
    router,
    logits,
    ids,
    scores,
    counts,
    tokens,
    hidden,
    EXPERTS: tl.constexpr,
    TOP_K: tl.constexpr,
    SLOTS: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_E: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Route one block of tokens in fp32 as Llama 4 does and count its rows for each expert.

    A tie goes to the lowest index and NaN never wins. Every logit is summed in the same order, so
    equal router rows tie exactly; that is why this is no ``tl.dot``.
    """
    block = tl.program_id(0)
    token = block * BLOCK_T + tl.arange(0, BLOCK_T)
    expert = tl.arange(0, BLOCK_E)
    real = token < tokens
    known = expert < EXPERTS
    total = tl.zeros([BLOCK_T, BLOCK_E], dtype=tl.float32)
    for start in range(0, hidden, BLOCK_K):
        k = start + tl.arange(0, BLOCK_K)
        inside = k < hidden
        x_at = x + token.to(tl.int64)[:, None] * hidden + k[None, :]
        row = tl.load(x_at, mask=real[:, None] & inside[None, :], other=0.0).to(tl.float32)
        weight_at = router + expert[:, None] * hidden + k[None, :]
        weight = tl.load(weight_at, mask=known[:, None] & inside[None, :], other=0.0)
        total += tl.sum(row[:, None, :] * weight[None, :, :], axis=2)
    at = token[:, None] * EXPERTS + expert[None, :]
    tl.store(logits + at, total, mask=real[:, None] & known[None, :])

    lowest = float("-inf")
    ranked = tl.where(total == total, total, lowest)
    free = known[None, :] & (token[:, None] >= 0)
    counted = tl.where(expert == EXPERTS, tl.sum(real.to(tl.int32), axis=0), 0)
    for slot in tl.static_range(TOP_K):
        best = tl.max(tl.where(free, ranked, lowest), axis=1)
        candidate = free & (ranked == best[:, None])
        chosen = tl.min(tl.where(candidate, expert[None, :], BLOCK_E), axis=1)
        picked = expert[None, :] == chosen[:, None]
        logit = tl.sum(tl.where(picked, total, 0.0), axis=1)
        tl.store(ids + token * TOP_K + slot, chosen, mask=real)
        tl.store(scores + token * TOP_K + slot, tl.sigmoid(logit), mask=real)
        counted += tl.sum((picked & real[:, None]).to(tl.int32), axis=0)
        free = free & (expert[None, :] != chosen[:, None])
    matrices = EXPERTS + SLOTS - TOP_K
    tl.store(counts + block * matrices + expert, counted, mask=expert < matrices)


@triton.jit
def count_slots(
    ids,
    counts,
    tokens,
    EXPERTS: tl.constexpr,
    TOP_K: tl.constexpr,
    SLOTS: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_E: tl.constexpr,
):
    """Count one block's rows for each expert where the model has routed already."""
    block = tl.program_id(0)
    token = block * BLOCK_T + tl.arange(0, BLOCK_T)
    expert = tl.arange(0, BLOCK_E)
    real = token < tokens
    counted = tl.where(expert == EXPERTS, tl.sum(real.to(tl.int32), axis=0), 0)
    for slot in tl.static_range(TOP_K):
        chosen = tl.load(ids + token * TOP_K + slot, mask=real, other=-1)
        picked = (expert[None, :] == chosen[:, None]) & (expert < EXPERTS)[None, :]
        counted += tl.sum(picked.to(tl.int32), axis=0)
    matrices = EXPERTS + SLOTS - TOP_K
    tl.store(counts + block * matrices + expert, counted, mask=expert < matrices)


@triton.jit
def lay_out(
    counts,
    before,
    starts,
    ends,
    blocks,
    MATRICES: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_E: tl.constexpr,
    BLOCK_M: tl.constexpr,
):
    """Turn counts [blocks, experts] into places; one program.

    ``before``: [blocks, experts], the rows of earlier blocks for the same expert. ``starts``,
    ``ends``: [experts], multiples of ``BLOCK_M``; an expert without rows ends where it starts.
    """
    expert = tl.arange(0, BLOCK_E)
    known = expert < MATRICES
    total = tl.zeros([BLOCK_E], dtype=tl.int32)
    for first in range(0, blocks, BLOCK_B):
        block = first + tl.arange(0, BLOCK_B)
        at = block[:, None] * MATRICES + expert[None, :]
        inside = (block < blocks)[:, None] & known[None, :]
        counted = tl.load(counts + at, mask=inside, other=0)
        earlier = total[None, :] + tl.cumsum(counted, axis=0) - counted
        tl.store(before + at, earlier, mask=inside)
        total += tl.sum(counted, axis=0)
    padded = (total + BLOCK_M - 1) // BLOCK_M * BLOCK_M
    end = tl.cumsum(padded, axis=0)
    tl.store(starts + expert, end - padded, mask=known)
    tl.store(ends + expert, end, mask=known)


@triton.jit
def place_rows(
    ids,
    before,
    starts,
    rows,
    tokens,
    EXPERTS: tl.constexpr,
    TOP_K: tl.constexpr,
    SLOTS: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    """Write the rows of one block of tokens where they belong; an id of no expert has no row."""
    block = tl.program_id(0)
    entry = tl.arange(0, BLOCK_T * BLOCK_S)
    token = block * BLOCK_T + entry // BLOCK_S
    slot = entry % BLOCK_S
    real = token < tokens
    chosen = tl.load(ids + token * TOP_K + slot, mask=real & (slot < TOP_K), other=-1)
    expert = tl.where((chosen >= 0) & (chosen < EXPERTS), chosen, -1).to(tl.int32)
    expert = tl.where(real & (slot >= TOP_K) & (slot < SLOTS), EXPERTS, expert)
    earlier = (entry[None, :] < entry[:, None]) & (expert[None, :] == expert[:, None])
    rank = tl.sum(earlier.to(tl.int32), axis=1)
    takes_part = expert >= 0
    matrices = EXPERTS + SLOTS - TOP_K
    place = tl.load(starts + expert, mask=takes_part, other=0) + rank
    place += tl.load(before + block * matrices + expert, mask=takes_part, other=0)
    tl.store(rows + place, token * SLOTS + slot, mask=takes_part)
