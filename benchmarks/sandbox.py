"""How long a call takes in each tier: cold, warm, and in a fresh interpreter.

python benchmarks/sandbox.py [wasm] [docker]
"""

from __future__ import annotations

import json
import sys
import time

import anyio

from agentkit.sandbox import Tier, open_sandbox

WARM_CALLS, FRESH_CALLS, COLD_STARTS = 300, 40, 5
PAUSE_S = 0.05  # an agent thinks between two calls; the tiers use the time to prepare


def _percentile(times_s: list[float], share: float) -> float:
    return sorted(times_s)[min(int(len(times_s) * share), len(times_s) - 1)] * 1e3


async def measure(tier: Tier) -> dict[str, float]:
    """Return milliseconds: session opened to first result, warm calls, reset + call."""
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
        for pause_s, times in ((PAUSE_S, fresh), (0.0, hurried)):
            for _ in range(FRESH_CALLS):
                await anyio.sleep(pause_s)
                began = time.perf_counter()
                await session.reset()
                await session.run("1 + 1")
                times.append(time.perf_counter() - began)
    return {
        "cold_p50_ms": round(_percentile(cold, 0.5), 2),
        "warm_p50_ms": round(_percentile(warm, 0.5), 3),
        "warm_p99_ms": round(_percentile(warm, 0.99), 3),
        "fresh_p50_ms": round(_percentile(fresh, 0.5), 2),
        "fresh_without_pause_p50_ms": round(_percentile(hurried, 0.5), 2),
    }


def main() -> None:
    tiers = [Tier(name) for name in sys.argv[1:]] or list(Tier)
    for tier in tiers:
        print(json.dumps({"tier": tier.value, **anyio.run(measure, tier)}))


if __name__ == "__main__":
    main()
