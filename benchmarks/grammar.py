"""What the reply grammar costs a token of the embedded model, and what it saves.

Each request is answered with a call under the grammar; then the same tokens go through the grammar
alone (mask, accept, fast-forward), so that both times are of one moment. Prints a table and writes
``benchmarks/results/grammar.json`` with ``bars``. BENCH_GRAMMAR_CASES shortens a run.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoTokenizer

from agentkit.cache import default_cache_directory
from agentkit.evaluation.tools import draw_cases
from agentkit.model.embedded import load_embedded
from agentkit.model.embedded.identity import EMBEDDED_CHECKPOINT
from agentkit.model.grammar import ReplyGrammar
from agentkit.model.protocol import (
    Constraint,
    FinishDelta,
    GenerationSettings,
    TokenUsage,
    ToolCallDelta,
)
from agentkit.model.toolcalls import render_calls

if TYPE_CHECKING:
    from agentkit.evaluation.tools import Case
    from agentkit.model.grammar import ReplyMatcher
    from agentkit.model.local import LocalModel

CASES = int(os.environ.get("BENCH_GRAMMAR_CASES", "40"))
RESULTS = Path(__file__).parent / "results" / "grammar.json"
BAR = 0.05
MUST_CALL = Constraint(tool_choice="required")


async def call_of(model: LocalModel, case: Case) -> tuple[list[ToolCallDelta], TokenUsage]:
    """Return the calls that the model makes under the grammar, and what they took."""
    calls, usage = [], TokenUsage()
    settings = GenerationSettings(max_tokens=160)
    stream = model.generate(case.asked(), tools=case.tools, constraint=MUST_CALL, settings=settings)
    async with aclosing(stream) as deltas:
        async for delta in deltas:
            if isinstance(delta, ToolCallDelta):
                calls.append(delta)
            elif isinstance(delta, FinishDelta):
                usage = delta.usage
    return calls, usage


def replay(matcher: ReplyMatcher, tokens: list[int], width: int) -> tuple[float, int]:
    """Return the seconds that the grammar takes for ``tokens``, and how many it forced."""
    logits = torch.zeros(width)
    place = forced = 0
    began = time.perf_counter()
    while place < len(tokens):
        ahead = matcher.fast_forward()
        if ahead:
            if ahead != tokens[place : place + len(ahead)]:
                break  # the text is written in other tokens from here on
            forced += len(ahead)
            place += len(ahead)
            continue
        matcher.mask(logits)
        if logits[tokens[place]] == -torch.inf:
            break
        matcher.accept(tokens[place])
        place += 1
    return (time.perf_counter() - began) / max(place, 1), forced


async def measure() -> list[dict[str, float]]:
    """Return one row a request: milliseconds a token of decoding and of the grammar in it."""
    model = load_embedded()
    tokenizer = AutoTokenizer.from_pretrained(default_cache_directory() / EMBEDDED_CHECKPOINT)
    stop = tokenizer.convert_tokens_to_ids(list(model.prompt_format.stop_tokens))
    grammar = ReplyGrammar(tokenizer, len(tokenizer), stop)
    syntax = model.prompt_format.call_syntax
    rows = []
    try:
        for case in draw_cases(calls=CASES, no_tool=0, injections=0):
            calls, usage = await call_of(model, case)
            matcher = grammar.matcher(case.tools, MUST_CALL, syntax)
            if not calls or matcher is None:
                continue
            tokens = tokenizer.encode(render_calls(calls, syntax), add_special_tokens=False)
            seconds, forced = replay(matcher, tokens, len(tokenizer))
            token_s = usage.decode_s / usage.completion_tokens
            rows.append(
                {"token_ms": token_s * 1e3, "grammar_ms": seconds * 1e3,
                 "share": seconds / token_s, "forced": forced / len(tokens)}
            )  # fmt: skip
    finally:
        await model.aclose()
    return rows


def main() -> None:
    """Measure, print, write."""
    rows = anyio.run(measure)
    medians = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    share = round(medians["share"], 4)
    bars = {"grammar_share_of_token": {"value": share, "bar": BAR, "holds": share <= BAR}}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(
        json.dumps({"rows": rows, "medians": medians, "bars": bars}, indent=1) + "\n"
    )
    table = Table(title=f"The grammar in one token of the embedded model, {len(rows)} calls")
    for name in ("", "median"):
        table.add_column(name, justify="left" if not name else "right")
    table.add_row("decoding a token", f"{medians['token_ms']:.2f} ms")
    table.add_row("the grammar in it", f"{medians['grammar_ms']:.3f} ms")
    table.add_row("its share", f"{medians['share']:.1%} (bar {BAR:.0%})")
    table.add_row("tokens it forced", f"{medians['forced']:.0%}")
    Console().print(table)


if __name__ == "__main__":
    main()
