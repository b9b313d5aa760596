"""Llama 4 end to end, 942M parameters: the decode step against its peers and the machine's limit.

Columns: this project in bf16 and int8, transformers as it comes, llama.cpp (BF16 and Q8_0) and
vLLM on the CPU where AGENTKIT_PEERS has them. Every round runs all columns one after the other,
each behind a read of 256 MB that is the bandwidth probe; figures are medians over the rounds.
Prefill is 512 tokens in one pass, decode one token after the other behind 512, streams 1, 4 and 16
such contexts in one step.

Prints one table, writes ``benchmarks/results/decode.json`` with its ``bars``, and a plot beside it
where matplotlib is installed. BENCH_ROUNDS, BENCH_TOKENS (decoded a round) and BENCH_STREAMS
shorten a run. A bar whose peer is absent has no value and does not hold.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from decode_model import Shape, make_model, write_checkpoint, write_gguf
from decode_peers import Peer, start_peer
from rich.console import Console
from rich.table import Table
from torch import nn
from transformers import DynamicCache

from agentkit.model.kernels import Weights, library
from agentkit.model.local.fused import fuse_experts
from agentkit.model.local.kv_snapshot import take_snapshot
from agentkit.model.local.linears import PackedLinear, linear_shape, pack_linear
from agentkit.model.local.native import NativeDecoder
from agentkit.model.local.routing import route_experts

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import Llama4ForCausalLM

RESULTS = Path(__file__).parent / "results" / "decode.json"
CACHE = Path(os.environ.get("BENCH_CACHE", ".cache/bench-decode"))
PROBE_BYTES = 1 << 28
GROUP = 32
WIDTH = {"bf16": 2.0, "int8": 1 + 2 / GROUP}


@dataclass(frozen=True)
class Plan:
    """How much is run. ``decoded``: tokens a round and column; ``context``: tokens before them."""

    rounds: int = int(os.environ.get("BENCH_ROUNDS", "5"))
    decoded: int = int(os.environ.get("BENCH_TOKENS", "32"))
    context: int = 512
    streams: tuple[int, ...] = tuple(
        int(n) for n in os.environ.get("BENCH_STREAMS", "1,4,16").split(",")
    )


@dataclass
class Column:
    """One contestant: seconds of a prefill, and of one decoded token of n streams together."""

    prefill: Callable[[int], float]
    decode: Callable[[int, int], float]
    streams: Callable[[int, int, int], float] | None = None
    samples: dict[str, list[float]] = field(default_factory=dict)

    def note(self, what: str, seconds: float) -> None:
        """Keep one sample."""
        self.samples.setdefault(what, []).append(seconds)


def _timed(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _draw(count: int, vocabulary: int) -> list[int]:
    return torch.randint(3, vocabulary, (count,)).tolist()


def transformers_column(model: Llama4ForCausalLM) -> Column:
    vocabulary = model.config.vocab_size

    def read(count: int) -> tuple[float, DynamicCache]:
        cache, ids = DynamicCache(config=model.config), torch.tensor([_draw(count, vocabulary)])
        seconds = _timed(lambda: model(ids, past_key_values=cache, logits_to_keep=1))
        return seconds, cache

    def decode(context: int, count: int) -> float:
        _, cache = read(context)
        ids = [torch.tensor([[token]]) for token in _draw(count, vocabulary)]
        return median(_timed(lambda x=x: model(x, past_key_values=cache)) for x in ids)

    return Column(lambda count: read(count)[0], decode)


def native_column(model: Llama4ForCausalLM, weights: Weights) -> Column:
    """Return this project's column; ``model`` is packed and of no use to others."""
    route_experts(model)
    fuse_experts(model, weights=weights, group=GROUP)
    if weights.quantised:
        _quantise_linears(model, weights)
    decoder = NativeDecoder.of(model)
    if decoder is None:
        raise SystemExit("the kernel is not built: python -m agentkit.model.kernels")
    vocabulary, config = decoder.vocab_size, model.config

    def read(count: int) -> tuple[float, Any]:
        cache, drawn = decoder.new_cache(), _draw(count, vocabulary)
        seconds = _timed(lambda: decoder.extend([(drawn, cache)]))
        return seconds, take_snapshot(cache, config, drawn)

    def streams(number: int, context: int, count: int) -> float:
        _, prefix = read(context)
        caches = [prefix.restore(config, buffers=True) for _ in range(number)]
        tokens = [_draw(number, vocabulary) for _ in range(count)]
        return median(_timed(lambda t=t: decoder.step(t, caches)) for t in tokens)

    return Column(lambda count: read(count)[0], lambda context, n: streams(1, context, n), streams)


def peer_column(peer: Peer) -> Column:
    return Column(
        lambda count: peer.measure("prefill", count),
        lambda context, count: peer.measure("decode", context, count),
    )


def _quantise_linears(model: nn.Module, weights: Weights) -> None:
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear:
                shape = linear_shape(child.in_features, child.out_features, weights, GROUP)
                words, scales = pack_linear(child.weight.detach(), shape)
                setattr(module, name, PackedLinear(shape, words, scales, None))


def measure(columns: dict[str, Column], plan: Plan) -> dict[str, Any]:
    """Return probes, and the medians of every column as tokens a second."""
    kernel = library()
    if kernel is None:
        raise SystemExit("the kernel is not built: python -m agentkit.model.kernels")
    probe, reads = torch.ones(PROBE_BYTES, dtype=torch.uint8), []
    failed: dict[str, str] = {}
    for round_number in range(plan.rounds + 1):
        for name, column in columns.items():
            if name in failed:
                continue
            reads.append(_timed(lambda: kernel.read(probe)))
            try:
                taken = _round(column, plan)
            except ValueError as error:
                failed[name] = f"absent: {error}"
                continue
            if round_number:  # the first round warms up
                for what, seconds in taken.items():
                    column.note(what, seconds)
    rows = []
    for name, column in columns.items():
        middle = {what: median(seconds) for what, seconds in column.samples.items()}
        if name in failed or not middle:
            continue
        speeds = {
            what: (plan.context if what == "prefill" else _streams_of(what)) / seconds
            for what, seconds in middle.items()
        }
        rows.append({"column": name, "tokens_per_s": speeds, "seconds": column.samples})
    return {"bandwidth": PROBE_BYTES / median(reads), "rows": rows, "absent": failed}


def _streams_of(what: str) -> int:
    return int(what.removeprefix("streams ")) if what.startswith("streams ") else 1


def _round(column: Column, plan: Plan) -> dict[str, float]:
    taken = {
        "prefill": column.prefill(plan.context),
        "decode": column.decode(plan.context, plan.decoded),
    }
    if column.streams is not None:
        for number in plan.streams:
            taken[f"streams {number}"] = column.streams(number, plan.context, plan.decoded)
    return taken


def bars(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the bars; one whose peer is absent has no value and does not hold."""
    speeds = {row["column"]: row["tokens_per_s"] for row in found["rows"]}

    def ratio(ours: str, theirs: str, what: str, over: str = "") -> float | None:
        own = speeds.get(ours, {}).get(what)
        other = speeds.get(theirs, {}).get(over or what)
        return None if own is None or other is None else own / other

    wanted = {
        "bf16 decode: times llama.cpp BF16": (ratio("bf16", "llama.cpp BF16", "decode"), 1.1),
        "int8 decode: times llama.cpp Q8_0": (ratio("int8", "llama.cpp Q8_0", "decode"), 1.1),
        "bf16 prefill of 512: times vLLM": (ratio("bf16", "vllm", "prefill"), 1.2),
        "bf16, 16 streams: times one": (ratio("bf16", "bf16", "streams 16", "streams 1"), 4.0),
    }
    return {
        name: {
            "value": None if value is None else round(value, 3),
            "bar": bar,
            "holds": value is not None and value >= bar,
        }
        for name, (value, bar) in wanted.items()
    }


def limit(shape: Shape, name: str, bandwidth: float, context: int) -> float | None:
    """Return the tokens a second that reading the weights and the context allows."""
    if name not in WIDTH:
        return None
    cache = 2 * 2 * shape.layers * context * shape.kv_heads * shape.head_dim
    router = 4 * shape.layers * shape.experts * shape.hidden
    return bandwidth / (shape.read_weights * WIDTH[name] + cache + router)


def show(found: dict[str, Any], shape: Shape, plan: Plan) -> None:
    console = Console(width=120)
    several = [f"streams {number}" for number in plan.streams]
    table = Table("tokens a second", f"prefill {plan.context}", "decode", "of its limit", *several)
    for row in found["rows"]:
        speeds = row["tokens_per_s"]
        most = limit(shape, row["column"], found["bandwidth"], plan.context)
        table.add_row(
            row["column"],
            f"{speeds['prefill']:.0f}",
            f"{speeds['decode']:.1f}",
            "" if most is None else f"{speeds['decode'] / most:.0%}",
            *(f"{speeds[what]:.1f}" if what in speeds else "" for what in several),
        )
    console.print(table)
    console.print(f"bandwidth of the probe: {found['bandwidth'] / 1e9:.1f} GB/s")
    for name, why in (found["absent"] | found["remarks"]).items():
        console.print(f"{name}: {why}", markup=False)
    for name, bar in found["bars"].items():
        value = "-" if bar["value"] is None else bar["value"]
        console.print(f"{'holds' if bar['holds'] else 'FAILS'}  {value:>8}  {name}")


def plot(found: dict[str, Any]) -> str:
    if importlib.util.find_spec("matplotlib") is None:
        return "no plot: matplotlib is not installed"
    import matplotlib.pyplot as plt  # noqa: PLC0415 - optional, for the plot only

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
    rows = found["rows"][::-1]
    names = [
        f"agentkit {row['column']}" if row["column"] in WIDTH else row["column"] for row in rows
    ]
    colours = ["tab:blue" if row["column"] in WIDTH else "tab:gray" for row in rows]
    for axis, what in zip(axes, ("prefill", "decode"), strict=True):
        axis.barh(names, [row["tokens_per_s"][what] for row in rows], color=colours)
        axis.set(title=what, xlabel="tokens a second")
    figure.tight_layout()
    path = RESULTS.with_suffix(".png")
    figure.savefig(path, bbox_inches="tight")
    return f"plot: {path.name}"


def run(shape: Shape, plan: Plan) -> dict[str, Any]:
    """Measure everything there is; the result as it is written to the file."""
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    stock = make_model(shape)
    columns = {
        "bf16": native_column(make_model(shape), Weights.BFLOAT16),
        "int8": native_column(make_model(shape), Weights.INT8),
        "transformers": transformers_column(stock),
    }
    peers, absent, remarks = [], {}, {}
    for name, kind, file in (
        ("llama.cpp BF16", "llama.cpp", "bf16.gguf"),
        ("llama.cpp Q8_0", "llama.cpp", "q8_0.gguf"),
        ("vllm", "vllm", "checkpoint"),
    ):
        started = _start(kind, stock, shape, CACHE / file, threads)
        if isinstance(started, Peer):
            peers.append(started)
            columns[name] = peer_column(started)
            if started.remark:
                remarks[name] = started.remark
        else:
            absent[name] = started
    try:
        found = measure(columns, plan)
    finally:
        for peer in peers:
            peer.close()
    found["absent"] |= absent
    found["remarks"] = remarks
    kernel = library()
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "threads": threads,
        "instructions": kernel.level if kernel else "none",
        "rounds": plan.rounds,
        **found,
        "bars": bars(found),
    }


def _start(
    kind: str, model: Llama4ForCausalLM, shape: Shape, file: Path, threads: int
) -> Peer | str:
    if "AGENTKIT_PEERS" in os.environ:
        CACHE.mkdir(parents=True, exist_ok=True)
        if kind == "vllm":
            write_checkpoint(model, file)
        else:
            write_gguf(model, shape, file, quantised="q8" in file.name)
    return start_peer(kind, file, shape.vocabulary, threads)


def main() -> None:
    shape, plan = Shape(), Plan()
    found = run(shape, plan)
    show(found, shape, plan)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(plot(found))


if __name__ == "__main__":
    main()
