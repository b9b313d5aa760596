"""The native decoder reads prompts: transformers' logits, however they are cut."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch

from tests.model.local.decoders import full_logits, native_decoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedModel

pytestmark = pytest.mark.usefixtures("built_kernels")

PROMPTS = {
    "chunks of 150": {"attention_chunk_size": 150},
    "heads of 96": {"head_dim": 96, "num_key_value_heads": 1},
    "heads of 128": {"head_dim": 128, "attn_temperature_tuning": True},
    "as many key heads": {"num_key_value_heads": 4, "attention_chunk_size": 64},
    "dense, biased": {"interleave_moe_layer_step": 2, "attention_bias": True},
}


@pytest.mark.parametrize("layers", PROMPTS.values(), ids=PROMPTS)
def test_prompts_are_read_in_blocks(
    tiny_llama4: Callable[..., PreTrainedModel], layers: dict[str, object]
) -> None:
    """Two prompts and one token a step, cut where no block ends, and all of one at once."""
    theirs = tiny_llama4(max_position_embeddings=2048, **layers)
    decoder = native_decoder(copy.deepcopy(theirs))
    generator = torch.Generator().manual_seed(4)
    streams = torch.randint(3, 500, (3, 420), generator=generator)
    expected = [full_logits(theirs, stream) for stream in streams]
    caches = [decoder.new_cache() for _ in streams]
    at = [0, 0, 0]
    for counts in ((3, 131, 200), (300, 1, 77), (1, 257, 3)):
        ids = [streams[n, at[n] : at[n] + counts[n]].tolist() for n in range(3)]
        found = decoder.extend(list(zip(ids, caches, strict=True)))
        at = [start + count for start, count in zip(at, counts, strict=True)]
        for row, full, end in zip(found, expected, at, strict=True):
            assert (row - full[end - 1]).abs().max() <= 1e-4
    whole = decoder.extend([(streams[0].tolist(), decoder.new_cache())])[0]
    assert (whole - expected[0][-1]).abs().max() <= 1e-4


def test_not_a_number_in_one_prompt_stays_there(
    tiny_llama4: Callable[..., PreTrainedModel],
) -> None:
    model = tiny_llama4()
    with torch.no_grad():
        model.model.embed_tokens.weight[7] = float("nan")
    decoder = native_decoder(model)
    clean = decoder.extend([([8] * 12, decoder.new_cache())])
    both = decoder.extend(
        [([8] * 5 + [7] * 7, decoder.new_cache()), ([8] * 12, decoder.new_cache())]
    )
    assert both[0].isnan().all()
    assert (both[1] - clean[0]).abs().max() <= 1e-5
