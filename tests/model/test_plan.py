"""Plans: the published sizes of Scout and Maverick, what fits, counts as in real models."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from agentkit.errors import ModelError
from agentkit.model.plan import (
    DEFAULT_MODELS,
    Machine,
    find_shape,
    look_at_machine,
    plan_model,
    read_shape,
)

GIB = 1 << 30
FAMILIES = runpy.run_path(str(Path(__file__).parent / "kernels" / "test_experts.py"))
SCOUT, MAVERICK = (find_shape(name)[0] for name in DEFAULT_MODELS)


def test_the_published_sizes_of_llama_4() -> None:
    assert round(SCOUT.parameters / 1e9) == 108
    assert round(MAVERICK.parameters / 1e9) == 401
    assert round(SCOUT.active_parameters / 1e9) == round(MAVERICK.active_parameters / 1e9) == 16
    assert SCOUT.windows.count(8192) == 36
    assert SCOUT.windows.count(0) == 12


@pytest.mark.parametrize(("context", "gib"), [(131_072, 7.1), (1 << 20, 49.1), (8192, 1.5)])
def test_scouts_local_layers_keep_their_chunk_only(context: int, gib: float) -> None:
    plan = plan_model(SCOUT, Machine(1 << 40, None), context=context, users=1)
    assert plan.formats[0].kv / GIB == pytest.approx(gib, abs=0.05)


@pytest.mark.parametrize("family", ["llama4", *FAMILIES["FAMILIES"], "llama"])
def test_counts_are_those_of_the_real_model(family: str, tmp_path: Path) -> None:
    extra = {
        "llama4": {
            "num_local_experts": 4,
            "intermediate_size": 48,
            "intermediate_size_mlp": 96,
            "head_dim": 16,
            "interleave_moe_layer_step": 2,
        },
        "llama": {"intermediate_size": 48},
    } | FAMILIES["FAMILIES"]
    kind = "llama4_text" if family == "llama4" else family
    config = transformers.AutoConfig.for_model(kind, **(FAMILIES["COMMON"] | extra[family]))
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    config.save_pretrained(tmp_path)
    shape, source = find_shape(str(tmp_path))
    assert source == str(tmp_path)
    # Norms and biases are not counted; they are thousandths of a real model.
    matrices = sum(p.numel() for name, p in model.named_parameters() if not _is_small(name))
    assert shape.parameters == matrices


def _is_small(name: str) -> bool:
    return "norm" in name or "bias" in name or name.endswith("sinks")


def test_what_fits_and_what_would() -> None:
    def advice(gib: int, context: int = 8192) -> str:
        return plan_model(SCOUT, Machine(gib * GIB, None), context=context, users=1).advice

    assert advice(300) == "fits with weights: bf16"
    assert advice(160) == "fits with weights: int8"
    assert advice(96) == "fits with weights: int4"
    assert "int4 needs" in advice(24)
    assert "--context" in advice(96, 10_000_000)


def test_the_speed_is_bandwidth_by_bytes_read() -> None:
    plan = plan_model(SCOUT, Machine(1 << 40, 50e9), context=8192, users=1)
    bf16, int8, int4 = (one.tokens_per_s for one in plan.formats)
    assert bf16 == pytest.approx(50e9 / (2 * SCOUT.active_parameters + plan.formats[0].kv))
    assert bf16 < int8 < int4
    assert (
        plan_model(SCOUT, Machine(1 << 40, None), context=8, users=1).formats[0].tokens_per_s
        is None
    )


@given(
    memory=st.integers(1 << 30, 1 << 43),
    context=st.integers(1, 1 << 20),
    users=st.integers(1, 64),
)
def test_most_context_is_where_fitting_ends(memory: int, context: int, users: int) -> None:
    machine = Machine(memory, None)
    for one in plan_model(SCOUT, machine, context=context, users=users).formats:
        if one.fits:
            assert one.most_context >= context
        edge = one.most_context
        if edge > 0:
            at_edge = plan_model(SCOUT, machine, context=edge, users=users)
            assert next(x for x in at_edge.formats if x.weights_format == one.weights_format).fits
        if 0 < edge < SCOUT.context:
            beyond = plan_model(SCOUT, machine, context=edge + 1, users=users)
            assert not next(
                x for x in beyond.formats if x.weights_format == one.weights_format
            ).fits


def test_this_machine() -> None:
    machine = look_at_machine()
    assert machine.memory > GIB
    assert machine.bandwidth is not None
    assert 1e8 < machine.bandwidth < 1e13


@pytest.mark.parametrize("value", [None, "5", -1, 1.5, True])
def test_a_config_without_a_size_is_named(value: object) -> None:
    with pytest.raises(ModelError, match="hidden_size") as caught:
        read_shape({"hidden_size": value, "num_hidden_layers": 2}, "config.json")
    assert caught.value.place == "config.json"


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000])
def test_a_garbled_config(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelError):
        find_shape(str(tmp_path))


def test_only_the_hub_clients_cache_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="nothing of this model") as caught:
        find_shape("some-org/some-model")
    assert "hf download some-org/some-model config.json" in caught.value.cure
    with pytest.raises(ModelError):
        find_shape("no such/thing/at all")
    commit = "a" * 40
    folder = tmp_path / "models--some-org--some-model"
    (folder / "snapshots" / commit).mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    config = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config |= {"vocab_size": 100, "intermediate_size": 128, "max_position_embeddings": 512}
    (folder / "snapshots" / commit / "config.json").write_text(json.dumps(config))
    shape, source = find_shape("some-org/some-model")
    assert source == "the hub client's cache"
    assert shape.parameters == 2 * (4 * 64 * 64 + 3 * 64 * 128) + 2 * 100 * 64


@pytest.mark.parametrize(
    "odd", [{"num_key_value_heads": 0}, {"num_hidden_layers": 1 << 40}, {"num_hidden_layers": 0}]
)
def test_sizes_that_no_model_has_are_refused(odd: dict[str, int]) -> None:
    sizes = {
        "vocab_size": 1000,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "max_position_embeddings": 512,
    }
    with pytest.raises(ModelError, match="no model has such sizes") as caught:
        read_shape(sizes | odd, "config.json")
    assert caught.value.place == "config.json"
