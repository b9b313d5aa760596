"""One Llama 4 layer (1024 x 2048, top-1, shared expert): the kernel against its peers and the roof.

Every round runs all columns one after the other, each behind a read of 256 MB that empties the
caches and is itself the bandwidth probe, and behind one token through a small layer of the same
kind: weights are cold, as they are to a decoder, the interpreter and the library's code are not. A
dense oneDNN product is the arithmetic probe. The roof of a call is the larger of its bytes over the
bandwidth read just before it and its operations over the dense product of its round. Every ratio
is one of calls of the same round, and the figure is the median over the rounds: a shared machine
is another one a second later.

Prints one table, writes ``benchmarks/results/layer.json`` with its ``bars``, and a plot beside it
where matplotlib is installed. BENCH_ROUNDS, BENCH_EXPERTS and BENCH_TOKENS shorten a run.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from layer_peers import grouped_mm_layer, load_vllm, sglang_layer, vllm_layer
from rich.console import Console
from rich.table import Table
from transformers import Llama4TextConfig
from transformers.models.llama4.modeling_llama4 import Llama4TextMoe

from agentkit.model.kernels import PackedExperts, Weights, library, routed_forward
from agentkit.model.local.fused import pack_block
from agentkit.model.local.routing import RoutedMoe

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[[torch.Tensor], torch.Tensor]

HIDDEN, INNER, DRAWN = 1024, 2048, 16
SMALL = 128  # hidden and inner of the layer that warms the code
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "9"))
EXPERTS = [int(e) for e in os.environ.get("BENCH_EXPERTS", "16,128").split(",")]
TOKENS = [int(t) for t in os.environ.get("BENCH_TOKENS", "1,8,64,512").split(",")]
RESULTS = Path(__file__).parent / "results" / "layer.json"
PROBE_BYTES = 1 << 28
# Bytes of one weight, its share of a scale included (group 32, bfloat16).
WIDTH = {"bf16": 2.0, "int8": 1 + 2 / 32, "int4": 0.5 + 2 / 32, "fp32": 4.0}


def make_block(
    experts: int, dtype: torch.dtype, hidden: int = HIDDEN, inner: int = INNER
) -> Llama4TextMoe:
    torch.manual_seed(0)
    config = Llama4TextConfig(
        hidden_size=hidden,
        intermediate_size=inner,
        num_local_experts=experts,
        num_experts_per_tok=1,
        num_attention_heads=8,
        num_key_value_heads=8,
        head_dim=128,
    )
    with torch.device("meta"):
        block = Llama4TextMoe(config)
    block = block.to(dtype).to_empty(device="cpu").eval()
    for parameter in block.shared_expert.parameters():
        parameter.data.normal_(0, 0.03)
    for parameter in block.experts.parameters():
        # 16 experts drawn, the others their copies: distinct memory is what matters here.
        drawn = parameter.data[:DRAWN]
        drawn.normal_(0, 0.03)
        for first in range(DRAWN, len(parameter), DRAWN):
            parameter.data[first : first + DRAWN] = drawn
    block.router.weight.data.normal_(0, 0.05)
    return block


def ours(block: Llama4TextMoe, weights: Weights) -> Run:
    packed: PackedExperts = pack_block(RoutedMoe(block), weights=weights)
    return lambda x: routed_forward(x, packed)[0]


def columns(block: Llama4TextMoe, dtype: torch.dtype, *, with_vllm: bool) -> dict[str, Run]:
    if dtype is torch.float32:
        runs: dict[str, Run] = {"fp32": ours(block, Weights.FLOAT32)}
        if with_vllm:
            runs["vLLM fp32"] = vllm_layer(block)
        return runs
    runs = {
        "bf16": ours(block, Weights.BFLOAT16),
        "int8": ours(block, Weights.INT8),
        "int4": ours(block, Weights.INT4),
        "transformers": lambda x: block(x)[0],
        "grouped_mm": grouped_mm_layer(block),
    }
    if with_vllm:
        runs |= {"vLLM": vllm_layer(block), "SGLang": sglang_layer(block)}
    return runs


def exact(block: Llama4TextMoe, x: torch.Tensor) -> torch.Tensor:
    """Return the layer in fp32 on the unquantised weights, for the first eight tokens."""
    x = x[:8].float()
    logits = x @ block.router.weight.float().T
    shared = block.shared_expert
    out = (
        torch.nn.functional.silu(x @ shared.gate_proj.weight.float().T)
        * (x @ shared.up_proj.weight.float().T)
    ) @ shared.down_proj.weight.float().T
    for row, (best, expert) in enumerate(zip(*logits.max(1), strict=True)):
        gate, up = ((x[row] * best.sigmoid()) @ block.experts.gate_up_proj[expert].float()).chunk(2)
        inner = torch.nn.functional.silu(gate) * up
        out[row] += inner @ block.experts.down_proj[expert].float()
    return out


def timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(experts: int, dtype: torch.dtype, *, with_vllm: bool) -> list[dict[str, Any]]:
    kernel = library()
    if kernel is None:
        raise SystemExit("the kernel is not built: python -m agentkit.model.kernels")
    block = make_block(experts, dtype)
    runs = columns(block, dtype, with_vllm=with_vllm)
    small = columns(make_block(2, dtype, SMALL, SMALL), dtype, with_vllm=with_vllm)
    token = torch.randn(1, SMALL).to(dtype)
    probe = torch.ones(PROBE_BYTES, dtype=torch.uint8)
    dense = torch.randn(1024, 4096).to(dtype), torch.randn(4096, 4096).to(dtype)
    rows = []
    for tokens in TOKENS:
        inputs = [torch.randn(tokens, HIDDEN).to(dtype) for _ in range(ROUNDS)]
        errors = {}
        wanted = exact(block, inputs[0])
        for name, run in runs.items():
            errors[name] = float((run(inputs[0])[:8].float() - wanted).norm() / wanted.norm())
        rounds: list[dict[str, Any]] = []
        for x in inputs:
            bandwidths, seconds = {}, {}
            for name, run in runs.items():
                bandwidths[name] = PROBE_BYTES / timed(lambda: kernel.read(probe))
                small[name](token)
                seconds[name] = timed(lambda run=run, x=x: run(x))
            product = timed(lambda: torch.nn.functional.linear(*dense))
            chosen = (x.float() @ block.router.weight.float().T).argmax(1)
            rounds.append(
                {
                    "active": len(set(chosen.tolist())) + 1,
                    "bandwidth": bandwidths,
                    "dense": 2 * 1024 * 4096 * 4096 / product,
                    "seconds": seconds,
                }
            )
        rows.append(
            {
                "experts": experts,
                "tokens": tokens,
                "bandwidth": median(b for r in rounds for b in r["bandwidth"].values()),
                "dense": median(r["dense"] for r in rounds),
                "seconds": {name: median(r["seconds"][name] for r in rounds) for name in runs},
                "best": {name: min(r["seconds"][name] for r in rounds) for name in runs},
                "error": errors,
                "rounds": rounds,
            }
        )
    return rows


def share(row: dict[str, Any], name: str) -> float:
    """Return how much of what the machine could do, by its own probes, a column did."""

    def of(round_: dict[str, Any]) -> float:
        weights = round_["active"] * 3 * HIDDEN * INNER
        read = weights * WIDTH[name] + row["experts"] * HIDDEN * 4
        roof = max(
            read / round_["bandwidth"][name],
            row["tokens"] * 2 * 6 * HIDDEN * INNER / round_["dense"],
        )
        return float(roof / round_["seconds"][name])

    return median(of(round_) for round_ in row["rounds"])


def times(row: dict[str, Any], than: str, name: str) -> float:
    """Return how many times as fast as ``than`` a column is."""
    return median(r["seconds"][than] / r["seconds"][name] for r in row["rounds"])


def bars(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the bars of the layer, each with its worst value over the rows it speaks of."""
    found: dict[str, dict[str, Any]] = {}

    def add(name: str, values: list[float], bar: float, *, at_most: bool = False) -> None:
        if values:
            value = max(values) if at_most else min(values)
            holds = value <= bar if at_most else value >= bar
            found[name] = {"value": round(value, 4), "bar": bar, "holds": holds}

    def of(*tokens: int, column: str = "bf16", experts: int = 0) -> list[dict[str, Any]]:
        return [
            row
            for row in rows
            if row["tokens"] in tokens
            and column in row["seconds"]
            and experts in {0, row["experts"]}
        ]

    def faster(than: str, name: str, chosen: list[dict[str, Any]]) -> list[float]:
        return [times(row, than, name) for row in chosen if than in row["seconds"]]

    def shares(chosen: list[dict[str, Any]]) -> list[float]:
        return [share(row, "bf16") for row in chosen]

    every = of(*TOKENS)
    add("bf16: share of the probed bandwidth, T <= 8", shares(of(1, 8)), 0.9)
    add("bf16: share of the roof, T = 64", shares(of(64)), 0.85)
    add("bf16: share of oneDNN dense or bandwidth, T = 512", shares(of(512)), 0.9)
    add("bf16: times SGLang", faster("SGLang", "bf16", every), 1.0)
    add("bf16: times vLLM", faster("vLLM", "bf16", every), 1.2)
    small, large = of(1, experts=16), of(512, experts=128)
    add("bf16: times transformers, T = 1, E = 16", faster("transformers", "bf16", small), 20)
    add("bf16: times transformers, T = 512, E = 128", faster("transformers", "bf16", large), 25)
    add("int8: times bf16, T <= 8", faster("bf16", "int8", of(1, 8)), 1.8)
    few = of(1, 8)
    add("int8: error, T <= 8", [r["error"]["int8"] for r in few], 1e-2, at_most=True)
    add("int4: times bf16, T <= 8", faster("bf16", "int4", of(1, 8)), 2.5)
    add("int4: error, T <= 8", [r["error"]["int4"] for r in few], 5e-2, at_most=True)
    add("fp32: times vLLM", faster("vLLM fp32", "fp32", of(*TOKENS, column="fp32")), 1.5)
    return found


def show(rows: list[dict[str, Any]], found: dict[str, dict[str, Any]]) -> None:
    console = Console(width=120)
    table = Table("E", "T", "kernel", "ms", "best", "of roof", "error", "GB/s probe", "GF/s dense")
    for row in rows:
        for name, seconds in sorted(row["seconds"].items(), key=lambda item: item[1]):
            table.add_row(
                str(row["experts"]),
                str(row["tokens"]),
                name,
                f"{seconds * 1e3:.3f}",
                f"{row['best'][name] * 1e3:.3f}",
                f"{share(row, name):.0%}" if name in WIDTH else "",
                f"{row['error'][name]:.1e}",
                f"{row['bandwidth'] / 1e9:.1f}",
                f"{row['dense'] / 1e9:.0f}",
            )
        table.add_section()
    console.print(table)
    for name, bar in found.items():
        console.print(f"{'holds' if bar['holds'] else 'FAILS'}  {bar['value']:>8}  {name}")


def plot(rows: list[dict[str, Any]]) -> str:
    if importlib.util.find_spec("matplotlib") is None:
        return "no plot: matplotlib is not installed"
    import matplotlib.pyplot as plt  # noqa: PLC0415 - optional, for the plot only

    figure, axes = plt.subplots(1, len(EXPERTS), figsize=(6 * len(EXPERTS), 4), squeeze=False)
    for axis, experts in zip(axes[0], EXPERTS, strict=True):
        chosen = [row for row in rows if row["experts"] == experts and "bf16" in row["seconds"]]
        for name in chosen[0]["seconds"]:
            millis = [row["seconds"][name] * 1e3 for row in chosen]
            axis.loglog([row["tokens"] for row in chosen], millis, marker="o", label=name)
        axis.set(title=f"{experts} experts", xlabel="tokens", ylabel="ms")
    axes[0][-1].legend(loc="center left", bbox_to_anchor=(1, 0.5), title="bf16, int8, int4: ours")
    path = RESULTS.with_suffix(".png")
    figure.savefig(path, bbox_inches="tight")
    return f"plot: {path.name}"


def main() -> None:
    torch.set_grad_enabled(False)
    with_vllm = load_vllm()
    rows = []
    for experts in EXPERTS:
        rows += measure(experts, torch.bfloat16, with_vllm=with_vllm)
    if DRAWN in EXPERTS:
        rows += measure(DRAWN, torch.float32, with_vllm=with_vllm)
    found = bars(rows)
    show(rows, found)
    kernel = library()
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "threads": torch.get_num_threads(),
        "instructions": kernel.level if kernel else "none",
        "rounds": ROUNDS,
        "vllm_cpu": with_vllm,
        "rows": rows,
        "bars": found,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(plot(rows))


if __name__ == "__main__":
    main()
