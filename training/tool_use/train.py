"""Train the embedded model's adapter: ``python -m training.tool_use.train --output DIR``.

LoRA on every linear layer of the dense model, loss on what the assistant writes only, AdamW with a
constant rate that falls linearly at the end. Data are drawn by seed and step, so a run that is
stopped goes on where its last checkpoint stands and sees what it would have seen.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from agentkit.model.embedded.gguf_file import read_gguf
from training.tool_use.adapter import export_adapter, import_adapter
from training.tool_use.curve import draw_curve
from training.tool_use.network import Network
from training.tool_use.packing import Batch, Packer

if TYPE_CHECKING:
    from agentkit.model.embedded.gguf_file import DenseModel

__all__ = ["Recipe", "train"]

_VALIDATION_SEED = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a run depends on, beside the code and the weights."""

    steps: int = 1700
    rows: int = 2
    length: int = 768
    rate: float = 1e-3
    warmup: int = 20
    decay: int = 400
    seed: int = 1
    validate_every: int = 50
    validation_batches: int = 3
    patience: int = 8
    threads: int = 2
    frozen: int = 0


def train(
    dense: DenseModel, output: Path, recipe: Recipe, *, start_from: Path | None = None
) -> None:
    """Train until the steps are done or the validation loss has not fallen for long.

    Writes ``adapter.safetensors`` (best validation loss), ``state.safetensors`` (to resume),
    ``log.jsonl`` and ``curve.svg`` into ``output``.
    """
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    output.mkdir(parents=True, exist_ok=True)
    (output / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1) + "\n")
    network = Network(dense, frozen=recipe.frozen)
    packer = Packer(dense.tokenizer, recipe.length)
    if start_from is not None:
        import_adapter(network, start_from)
    trained = list(network.blocks[recipe.frozen :].parameters())
    optimizer = torch.optim.AdamW(trained, lr=recipe.rate, betas=(0.9, 0.98), weight_decay=0.0)
    step, best, stale = _resume(output, network, optimizer)
    log = (output / "log.jsonl").open("a")
    validation = [
        packer.batch(recipe.rows, _VALIDATION_SEED + n) for n in range(recipe.validation_batches)
    ]
    started, seen = time.perf_counter(), 0
    while step < recipe.steps and stale < recipe.patience:
        batch = packer.batch(recipe.rows, recipe.seed * 10_000_000 + step)
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate * _share(step, recipe)
        loss = _loss(network, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        seen += batch.tokens.numel()
        line: dict[str, float] = {"step": step, "loss": round(loss.item(), 4)}
        if step % recipe.validate_every == 0 or step == recipe.steps:
            with torch.no_grad():
                value = sum(_loss(network, held).item() for held in validation) / len(validation)
            line["validation"] = round(value, 4)
            line["tokens_per_s"] = round(seen / (time.perf_counter() - started))
            stale = 0 if value < best else stale + 1
            if value < best:
                best = value
                export_adapter(network, output / "adapter.safetensors")
            _save(output, network, optimizer, step, best, stale)
            draw_curve(output / "log.jsonl", output / "curve.svg")
        log.write(json.dumps(line) + "\n")
        log.flush()


def _share(step: int, recipe: Recipe) -> float:
    """Return the part of the peak rate that is used at a step."""
    return min(1.0, (step + 1) / recipe.warmup, max(0.02, (recipe.steps - step) / recipe.decay))


def _loss(network: Network, batch: Batch) -> torch.Tensor:
    hidden = network(batch.tokens, batch.positions, batch.mask)
    # The token before a supervised one predicts it; both belong to the same conversation, for
    # what is supervised always follows the assistant's header.
    learnt = batch.supervised[:, 1:]
    return functional.cross_entropy(
        network.logits(hidden[:, :-1][learnt]), batch.tokens[:, 1:][learnt]
    )


def _save(  # noqa: PLR0917 (all of what a run is resumed from)
    output: Path,
    network: Network,
    optimizer: torch.optim.AdamW,
    step: int,
    best: float,
    stale: int,
) -> None:
    state = {f"p.{name}": value.detach() for name, value in network.named_parameters()}
    for name, value in network.named_parameters():
        for kind in ("exp_avg", "exp_avg_sq"):
            if value not in optimizer.state:
                continue
            state[f"{kind}.{name}"] = optimizer.state[value][kind]
    metadata = {"step": str(step), "best": str(best), "stale": str(stale)}
    scratch = output / "state.tmp"
    save_file({k: v.contiguous() for k, v in state.items()}, scratch, metadata=metadata)
    (output / "progress.json").write_text(json.dumps(metadata))
    scratch.replace(output / "state.safetensors")


def _resume(output: Path, network: Network, optimizer: torch.optim.AdamW) -> tuple[int, float, int]:
    if not (output / "state.safetensors").exists():
        return 0, float("inf"), 0
    state = load_file(output / "state.safetensors")
    metadata = json.loads((output / "progress.json").read_text())
    step = int(metadata["step"])
    with torch.no_grad():
        for name, value in network.named_parameters():
            value.copy_(state[f"p.{name}"])
            if f"exp_avg.{name}" not in state or not value.requires_grad:
                continue
            optimizer.state[value] = {
                "step": torch.tensor(float(step)),
                "exp_avg": state[f"exp_avg.{name}"],
                "exp_avg_sq": state[f"exp_avg_sq.{name}"],
            }
    return step, float(metadata["best"]), int(metadata["stale"])


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", type=Path, required=True, help="the embedded wheel's GGUF file")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--start-from", type=Path, help="an adapter to go on from")
    defaults = asdict(Recipe())
    for name, value in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    chosen = vars(parser.parse_args())
    recipe = Recipe(**{name: chosen[name] for name in defaults})
    dense = read_gguf(chosen["gguf"], progress=lambda *_: None)
    train(dense, chosen["output"], recipe, start_from=chosen["start_from"])


if __name__ == "__main__":
    main()
