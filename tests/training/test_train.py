"""A run that was stopped goes on as if it had not been, and the loss falls."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file

from training.tool_use.train import Recipe, train

if TYPE_CHECKING:
    from pathlib import Path

    from agentkit.model.embedded.gguf_file import DenseModel


def _recipe(steps: int, patience: int = 8) -> Recipe:
    return Recipe(
        steps=steps, rows=1, length=1000, rate=0.05, warmup=1, decay=1, validate_every=2,
        validation_batches=1, patience=patience, threads=1,
    )  # fmt: skip


def _losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]


def test_stopped_and_resumed_is_the_same_run(dense: DenseModel, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(dense, whole, _recipe(4))
    train(dense, parts, _recipe(2))
    train(dense, parts, _recipe(4))
    assert len(_losses(parts)) == 4
    assert _losses(whole) == _losses(parts)
    state = load_file(parts / "state.safetensors")
    assert all(bool(torch.isfinite(value).all()) for value in state.values())
    assert json.loads((parts / "progress.json").read_text())["step"] == "4"
    assert (parts / "curve.svg").read_text().startswith("<svg")
    before = (parts / "log.jsonl").read_text()
    train(dense, parts, _recipe(4))
    assert (parts / "log.jsonl").read_text() == before


def test_training_lowers_the_loss(dense: DenseModel, tmp_path: Path) -> None:
    train(dense, tmp_path, _recipe(8))
    losses = _losses(tmp_path)
    assert min(losses[-2:]) < losses[0]
    assert (tmp_path / "adapter.safetensors").stat().st_size > 0
