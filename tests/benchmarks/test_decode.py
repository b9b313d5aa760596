"""A slice of the decode benchmark on a tiny model: every column runs, absent peers are said."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import gguf
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import decode as benchmark  # type: ignore[import-not-found]
from decode_model import Shape, make_model, write_gguf  # type: ignore[import-not-found]

TINY = Shape(
    hidden=64, inner=64, experts=4, layers=4, heads=4, kv_heads=2, head_dim=32, vocabulary=128
)


pytestmark = pytest.mark.usefixtures("built_kernels")


def test_a_tiny_run_has_all_columns_and_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "PROBE_BYTES", 1 << 20)
    monkeypatch.delitem(os.environ, "AGENTKIT_PEERS", raising=False)
    plan = benchmark.Plan(rounds=1, decoded=3, context=24, streams=(1, 4, 16))
    grad = torch.is_grad_enabled()
    try:
        found = benchmark.run(TINY, plan)
    finally:
        torch.set_grad_enabled(grad)
    speeds = {row["column"]: row["tokens_per_s"] for row in found["rows"]}
    assert set(speeds) == {"bf16", "int8", "transformers"}
    assert all(value > 0 for row in speeds.values() for value in row.values())
    assert set(speeds["int8"]) == {"prefill", "decode", "streams 1", "streams 4", "streams 16"}
    assert set(found["absent"]) == {"llama.cpp BF16", "llama.cpp Q8_0", "vllm"}
    holds = {name: (bar["value"] is not None, bar["holds"]) for name, bar in found["bars"].items()}
    assert list(holds.values())[:3] == [(False, False)] * 3
    assert holds["bf16, 16 streams: times one"][0]


def test_a_bar_is_the_ratio_of_two_columns() -> None:
    rows = [
        {"column": "bf16", "tokens_per_s": {"decode": 112.0, "streams 1": 10, "streams 16": 39}},
        {"column": "llama.cpp BF16", "tokens_per_s": {"decode": 100.0}},
    ]
    bars = benchmark.bars({"rows": rows})
    first = bars["bf16 decode: times llama.cpp BF16"]
    assert first == {"value": 1.12, "bar": 1.1, "holds": True}
    assert bars["bf16, 16 streams: times one"] == {"value": 3.9, "bar": 4.0, "holds": False}


def test_a_peer_that_cannot_start_is_absent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AGENTKIT_PEERS", str(tmp_path))
    said = benchmark.start_peer("llama.cpp", tmp_path / "none.gguf", 128, 1)
    assert isinstance(said, str)
    assert said.startswith("absent: [Errno 2] No such file")


@pytest.mark.parametrize("quantised", [False, True])
def test_the_gguf_holds_every_tensor(tmp_path: Path, *, quantised: bool) -> None:
    path = write_gguf(make_model(TINY), TINY, tmp_path / "tiny.gguf", quantised=quantised)
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    # Three outside the layers, and in each two norms, four of attention, router, three and three.
    assert len(tensors) == 3 + TINY.layers * (2 + 4 + 1 + 3 + 3)
    assert tensors["blk.0.ffn_gate_exps.weight"].shape.tolist() == [64, 64, 4]
