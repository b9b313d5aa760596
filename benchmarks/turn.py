"""Where one turn's time goes: guards, model, gate, audit, tool (sandbox).

Two parts in one run. First the embedded model answers a few questions through ``Agent.open``: the
real share of each room. Then the replies it gave are replayed many times through the same planner,
guards, gate, audit log and sandbox, which gives p50 and p99 of everything but the model. Probes of
this machine stand beside: an fdatasync of the disk (what the audit log cannot be faster than) and
the bare sandbox call.

Prints one table and writes ``benchmarks/results/turn.json``.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from rich.console import Console
from rich.table import Table

from agentkit import Agent
from agentkit.audit import AuditLog
from agentkit.guards import Boundary, CodeScanDetector, GuardPipeline, build_pipeline
from agentkit.model.protocol import FinishDelta, TextDelta, ToolCallDelta
from agentkit.model.scripted import ScriptedModel
from agentkit.planner import Gate, Planner, TurnLimits
from agentkit.sandbox import open_sandbox
from agentkit.tools import python_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentkit.messages import Message
    from agentkit.model.protocol import Delta

QUESTIONS = ("What is 17 * 23?", "What is 144 + 377?", "What is 1024 - 256?")
REPLAYS = int(os.environ.get("BENCH_TURNS", "200"))
ROOMS = ("guards", "gate", "audit", "tool")
RESULTS = Path(__file__).parent / "results" / "turn.json"
DETECTORS = ("hidden_text", "injection", "secrets")
# What a user notices beside a model that writes for seconds: a tenth of a second.
OVERHEAD_P99_MS = 100.0

SPEC = """
version: 1
name: benchmark
instructions: You answer questions about numbers. Use the python tool for every calculation.
model: {source: embedded, generation: {max_tokens: 128}}
deployment:
  principal: {name: Fjordtall AS, kind: company, country: "NO", affiliates: []}
  distribution: internal
  languages: [en]
tools: {python: {}}
limits: {wall_s: 600}
"""


async def with_model(folder: Path) -> tuple[list[dict[str, float]], list[list[Delta]]]:
    """Answer the questions with the embedded model; return seconds by room, and the replies."""
    spec = folder / "agent.yaml"
    spec.write_text(SPEC)
    turns: list[dict[str, float]] = []
    replies: list[list[Delta]] = []
    for question in QUESTIONS:
        async with Agent.open(spec) as agent:
            begun = time.perf_counter()
            answer = await agent.run(question)
            total = time.perf_counter() - begun
            rooms = {room: sum(answer.seconds.get(room, ())) for room in ("model", *ROOMS)}
            turns.append({**rooms, "total": total})
            if not replies and answer.tool_calls:
                replies = [_reply(m) for m in agent.conversation if m.role == "assistant"]
    return turns, replies


def _reply(message: Message) -> list[Delta]:
    if message.calls:
        calls = [ToolCallDelta(call.name, call.arguments) for call in message.calls]
        return [*calls, FinishDelta("calls")]
    return [TextDelta(message.text), FinishDelta("stop")]


async def replayed(folder: Path, replies: Sequence[Sequence[Delta]]) -> list[dict[str, float]]:
    """Replay one conversation many times; return seconds by room of each turn."""
    guards = build_pipeline(dict.fromkeys(Boundary, DETECTORS), timeout_s=5)
    code_guards = GuardPipeline(
        {b: (CodeScanDetector(),) if b is Boundary.TOOL_ARGUMENTS else () for b in Boundary},
        timeout_s=5,
    )
    turns: list[dict[str, float]] = []
    with AuditLog.open(folder / "replay-log") as log:
        async with open_sandbox("wasm").session() as session:
            tools = (python_tool(session),)
            for turn in range(REPLAYS):
                planner = Planner(
                    ScriptedModel(replies),
                    tools,
                    Gate(tools, {}, guards, code_guards),
                    guards,
                    log,
                    limits=TurnLimits(wall_s=600),
                )
                begun = time.perf_counter()
                result = await planner.run((), QUESTIONS[0], run_id="bench", turn=turn)
                total = time.perf_counter() - begun
                visits = result.answer.seconds
                rooms: dict[str, float] = {room: sum(visits.get(room, ())) for room in ROOMS}
                turns.append({**rooms, "total": total})
    return turns


async def probe_sandbox(count: int = 100) -> list[float]:
    """Time bare calls of a warm wasm session, in seconds."""
    async with open_sandbox("wasm").session() as session:
        return [await _timed(session.run) for _ in range(count)]


async def _timed(run: Callable[[str], Any]) -> float:
    begun = time.perf_counter()
    await run("print(17 * 23)")
    return time.perf_counter() - begun


def probe_disk(folder: Path, count: int = 100) -> list[float]:
    """Time appending 512 bytes and an fdatasync, in seconds."""
    seconds = []
    with (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(count):
            begun = time.perf_counter()
            file.write(b"x" * 512)
            (os.fdatasync if hasattr(os, "fdatasync") else os.fsync)(file.fileno())
            seconds.append(time.perf_counter() - begun)
    return seconds


def room_rows(live: list[dict[str, float]], turns: list[dict[str, float]]) -> list[dict[str, Any]]:
    """Return a row for each room, and one for all rooms but the model together."""
    for turn in live:
        turn["all but the model"] = turn["total"] - turn["model"]
    for turn in turns:
        turn["all but the model"] = turn["total"]
    return [
        {
            "room": room,
            "share_of_live_turn": statistics.median(turn[room] / turn["total"] for turn in live),
            **percentiles([turn[room] for turn in turns if room in turn]),
        }
        for room in ("model", *ROOMS, "all but the model")
    ]


def percentiles(seconds: Sequence[float]) -> dict[str, float | None]:
    """Return p50 and p99 in milliseconds by nearest rank; None where nothing was timed."""
    ordered = sorted(seconds)
    if not ordered:
        return {"p50_ms": None, "p99_ms": None}
    last = len(ordered) - 1
    return {f"p{p}_ms": 1e3 * ordered[min(last, len(ordered) * p // 100)] for p in (50, 99)}


def main() -> int:
    """Run both parts, print the table, write the results."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        live, replies = anyio.run(with_model, folder)
        if not replies:
            print("the embedded model proposed no call; nothing to replay", file=sys.stderr)
            return 1
        disk = probe_disk(folder)
        turns = anyio.run(replayed, folder, replies)
        sandbox = anyio.run(probe_sandbox)
    rows = room_rows(live, turns)
    overhead = rows[-1]["p99_ms"]
    for name, seconds in (("one fdatasync", disk), ("bare sandbox call", sandbox)):
        rows.append({"room": f"probe: {name}", "share_of_live_turn": None, **percentiles(seconds)})
    bar = {"value": overhead, "bar": OVERHEAD_P99_MS, "holds": overhead <= OVERHEAD_P99_MS}
    report = {
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "live_turns": len(live),
        "live_turn_s": statistics.median(turn["total"] for turn in live),
        "replayed_turns": len(turns),
        "rows": rows,
        "bars": {"all_but_the_model_p99_ms": bar},
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=2) + "\n")
    _print(report)
    return 0


def _print(report: dict[str, Any]) -> None:
    table = Table(title="Where one turn's time goes (one tool call)")
    for column in ("room", "share of a live turn", "p50 ms", "p99 ms"):
        table.add_column(column, justify="left" if column == "room" else "right")
    for row in report["rows"]:
        share = row["share_of_live_turn"]
        table.add_row(
            row["room"],
            "" if share is None else f"{100 * share:.1f} %",
            *("" if row[key] is None else f"{row[key]:.2f}" for key in ("p50_ms", "p99_ms")),
        )
    console = Console()
    console.print(table)
    console.print(
        f"a live turn takes {report['live_turn_s']:.1f} s (median of {report['live_turns']}, "
        f"embedded model); percentiles over {report['replayed_turns']} replayed turns"
    )
    for name, bar in report["bars"].items():
        state = "holds" if bar["holds"] else "does not hold"
        console.print(f"bar {name}: {bar['value']:.1f} <= {bar['bar']:g}: {state}")


if __name__ == "__main__":
    sys.exit(main())
