"""One pass for several streams gives each the logits of a pass of its own."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
import transformers
from transformers import DynamicCache

from agentkit.model.local.routing import route_experts
from agentkit.model.local.segments import (
    SHARED_PASS,
    Segment,
    forward_alone,
    forward_together,
    shares_passes,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
EXPERTS = runpy.run_path(str(ROOT / "tests/model/kernels/test_experts.py"))
# Beside the families of mixtures: Llama 4's kinds of layers, a window of 16 where there is one,
# and the dense ones.
DENSE = ("llama", "mistral", "qwen2", "qwen3")
MODELS = ["llama4", "llama4 tuned", *EXPERTS["FAMILIES"], "mixtral sliding", *DENSE]
WINDOWED = {"llama4", "llama4 tuned", "gpt_oss", "mixtral sliding", "mistral", "qwen2", "qwen3"}
# What each stream reads, pass by pass: chunks across windows, single tokens, joining and pausing.
LENGTHS = [
    [21, 1, 1, 0, 1, 7, 1, 1, 1, 17, 1],
    [0, 9, 1, 1, 5, 1, 1, 16, 1, 1, 1],
    [0, 0, 40, 1, 1, 1, 1, 1, 0, 0, 1],
]


def _dense(family: str) -> transformers.PreTrainedModel:
    torch.manual_seed(0)
    extra = {"sliding_window": 16} if family == "mistral" else {}
    if family.startswith("qwen"):
        extra = {"sliding_window": 16, "use_sliding_window": True, "max_window_layers": 1}
    config = transformers.AutoConfig.for_model(family, **(EXPERTS["COMMON"] | extra), head_dim=16)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.normal_(0, 0.15)
    return model


def _build(
    name: str, tiny_llama4: Callable[..., transformers.PreTrainedModel]
) -> transformers.PreTrainedModel:
    family, _, variant = name.partition(" ")
    if family == "llama4":
        model = tiny_llama4(attn_temperature_tuning=variant == "tuned")
        route_experts(model)
        return model
    if family in DENSE:
        return _dense(family)
    model = EXPERTS["_tiny"](family)
    if family == "gpt_oss" or variant == "sliding":
        model.config.sliding_window = 16
        for layer in model.model.layers:
            if getattr(layer.self_attn, "sliding_window", None):
                layer.self_attn.sliding_window = 16
    return model


def _ids(count: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, 100, (count,), generator=generator).tolist()


@pytest.mark.parametrize("name", MODELS)
def test_logits_equal_those_of_a_stream_alone(
    tiny_llama4: Callable[..., transformers.PreTrainedModel], name: str
) -> None:
    model = _build(name, tiny_llama4)
    assert shares_passes(model)
    windows = {layer.is_sliding for layer in DynamicCache(config=model.config).layers}
    assert (True in windows) == (name in WINDOWED)
    caches = [DynamicCache(config=model.config) for _ in LENGTHS]
    own = [DynamicCache(config=model.config) for _ in LENGTHS]
    with torch.inference_mode():
        for step, counts in enumerate(zip(*LENGTHS, strict=True)):
            parts = [(n, _ids(count, 10 * step + n)) for n, count in enumerate(counts) if count]
            together = forward_together(
                model, [Segment(caches[n], tuple(part)) for n, part in parts]
            )
            for (n, part), row in zip(parts, together, strict=True):
                alone = forward_alone(model, Segment(own[n], tuple(part)))
                assert (row - alone).abs().max() <= 1e-4, f"stream {n}, pass {step}"
    for shared, single in zip(caches, own, strict=True):
        assert shared.get_seq_length() == single.get_seq_length()
        for one, other in zip(shared.layers, single.layers, strict=True):
            assert one.keys.shape == other.keys.shape


def test_every_listed_architecture_was_compared(
    tiny_llama4: Callable[..., transformers.PreTrainedModel],
) -> None:
    assert {type(_build(name, tiny_llama4)).__name__ for name in MODELS} == SHARED_PASS


def test_the_model_runs_as_before_after_a_shared_pass(
    tiny_llama4: Callable[..., transformers.PreTrainedModel],
) -> None:
    model = tiny_llama4()
    ids = torch.tensor([_ids(30, 1)])
    with torch.inference_mode():
        before = model(ids, use_cache=False).logits
        kv = [DynamicCache(config=model.config) for _ in range(2)]
        forward_together(model, [Segment(one, (5, 6)) for one in kv])
        assert torch.equal(model(ids, use_cache=False).logits, before)


def test_rope_that_depends_on_the_longest_position_is_not_shared() -> None:
    """Dynamic scaling changes all frequencies once one position passes the trained length."""
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10_000.0}
    common = EXPERTS["COMMON"]
    config = transformers.AutoConfig.for_model("llama", **common, rope_parameters=rope)
    assert not shares_passes(transformers.AutoModelForCausalLM.from_config(config))


def test_an_architecture_that_was_not_compared_is_not_shared() -> None:
    config = transformers.AutoConfig.for_model("gemma2", **EXPERTS["COMMON"], head_dim=16)
    assert not shares_passes(transformers.AutoModelForCausalLM.from_config(config))
