"""How long a call takes in each tier: cold, warm, in a fresh interpreter, and from a shared pool.

Prints one table and writes ``benchmarks/results/sandbox.json``. One tier only: give its name.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import anyio
from rich.console import Console
from rich.table import Table
from sandbox_baselines import measure_baselines

from agentkit.sandbox import SandboxPool, Tier, open_sandbox
from agentkit.sandbox.docker import build_image

WARM_CALLS, FRESH_CALLS, COLD_STARTS = 300, 40, 5
SESSIONS, CROWD_CALLS, CROWD_WARM_UP = 8, 120, 10  # calls of each session
RESULTS = Path(__file__).parent / "results" / "sandbox.json"
BARS = {
    Tier.WASM: {"warm_p50_ms": 1.0, "fresh_p50_ms": 5.0, "crowd_p99_to_p50": 5.0},
    Tier.DOCKER: {"warm_p50_ms": 2.0, "fresh_p50_ms": 15.0, "crowd_p99_to_p50": 5.0},
}
PAUSE_S = 0.05  # an agent thinks between two calls; the tiers use the time to prepare


def _percentile(times_s: list[float], share: float) -> float:
    return sorted(times_s)[min(int(len(times_s) * share), len(times_s) - 1)] * 1e3


async def measure_crowd(pool: SandboxPool) -> list[float]:
    """Return the seconds of each warm call of ``SESSIONS`` agents that share a pool, at once."""
    times: list[float] = []

    async def agent() -> None:
        async with pool.lease() as session:
            for number in range(CROWD_WARM_UP + CROWD_CALLS):
                await anyio.sleep(PAUSE_S)
                began = time.perf_counter()
                await session.run("1 + 1")
                if number >= CROWD_WARM_UP:
                    times.append(time.perf_counter() - began)

    async with anyio.create_task_group() as group:
        for _ in range(SESSIONS):
            group.start_soon(agent)
    return times


async def measure(tier: Tier) -> dict[str, float]:
    """Return milliseconds: session opened to first result, warm calls, calls in a fresh interpreter
    from a pool, with and without a pause between them, and a crowd's p99 as a multiple of its p50.
    """
    sandbox = open_sandbox(tier)
    await sandbox.check()
    cold, warm, fresh, hurried = [], [], [], []
    for _ in range(COLD_STARTS):
        began = time.perf_counter()
        async with sandbox.session() as session:
            await session.run("1 + 1")
            cold.append(time.perf_counter() - began)
    async with sandbox.session() as session:
        for _ in range(WARM_CALLS):
            began = time.perf_counter()
            await session.run("1 + 1")
            warm.append(time.perf_counter() - began)
    async with SandboxPool(sandbox, SESSIONS) as pool:
        while pool.state.idle < SESSIONS:  # noqa: ASYNC110  processes start meanwhile
            await anyio.sleep(PAUSE_S)
        async with pool.lease(fresh=True) as session:
            for pause_s, times in ((PAUSE_S, fresh), (0.0, hurried)):
                for _ in range(FRESH_CALLS):
                    await anyio.sleep(pause_s)
                    began = time.perf_counter()
                    await session.run("1 + 1")
                    times.append(time.perf_counter() - began)
        crowd = await measure_crowd(pool)
    return {
        "cold_p50_ms": round(_percentile(cold, 0.5), 2),
        "warm_p50_ms": round(_percentile(warm, 0.5), 3),
        "warm_p99_ms": round(_percentile(warm, 0.99), 3),
        "fresh_p50_ms": round(_percentile(fresh, 0.5), 2),
        "fresh_without_pause_p50_ms": round(_percentile(hurried, 0.5), 2),
        "crowd_p50_ms": round(_percentile(crowd, 0.5), 3),
        "crowd_p99_to_p50": round(_percentile(crowd, 0.99) / _percentile(crowd, 0.5), 2),
    }


def bars_of(rows: list[dict[str, float | str]]) -> dict[str, dict[str, float | bool]]:
    """Return each measured figure that has a bar, with whether it holds."""
    found = {}
    for row in rows:
        for figure, bar in BARS[Tier(row["tier"])].items():
            value = float(row[figure])
            name = f"{row['tier']}_{figure}"
            found[name] = {"value": value, "bar": bar, "holds": value <= bar}
    return found


def main() -> None:
    """Measure the tiers named, or both; print the table, write the results."""
    tiers = [Tier(name) for name in sys.argv[1:]] or list(Tier)
    if Tier.DOCKER in tiers:
        build_image()  # where it is not built yet
    rows: list[dict[str, float | str]] = [
        {"tier": tier.value, **anyio.run(measure, tier)} for tier in tiers
    ]
    bars = bars_of(rows)
    RESULTS.parent.mkdir(exist_ok=True)
    baselines = measure_baselines() if Tier.DOCKER in tiers else {}
    results = {"rows": rows, "baselines_p50_ms": baselines, "bars": bars}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    table = Table("", *(str(row["tier"]) for row in rows), title="One call in each sandbox tier")
    for figure in list(rows[0])[1:]:
        table.add_row(figure, *(f"{row[figure]:g}" for row in rows))
    console = Console()
    console.print(table)
    for name, took in baselines.items():
        console.print(f"for comparison, {name}: {took}" + ("" if isinstance(took, str) else " ms"))
    for name, bar in bars.items():
        state = "holds" if bar["holds"] else "does not hold"
        console.print(f"bar {name}: {bar['value']:g} <= {bar['bar']:g}: {state}")


if __name__ == "__main__":
    main()
