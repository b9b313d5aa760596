"""How well the embedded model uses tools: unseen tools, and an analyst's questions end to end.

Part one is ``agentkit.evaluation.tools`` over the embedded model. Part two puts 60 questions
through ``Agent.open``: gate, sandbox and audit log included; an answer is right if it holds the
value that the reference computes. Prints a table and writes ``benchmarks/results/tools.json`` with
``bars``. BENCH_TOOL_CASES and BENCH_QUESTIONS make a shorter run.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
from pathlib import Path

import anyio
from rich.progress import Progress

from agentkit import Agent, ModelPool
from agentkit.errors import AgentkitError
from agentkit.evaluation.tools import draw_cases, evaluate_tools
from agentkit.evaluation.tools.questions import draw_questions, is_right
from agentkit.model.embedded import load_embedded

CASES = int(os.environ.get("BENCH_TOOL_CASES", "540"))
QUESTIONS = int(os.environ.get("BENCH_QUESTIONS", "60"))
RESULTS = Path(__file__).parent / "results" / "tools.json"
QUESTIONS_BAR = 0.80
TOGETHER = 8  # cases, and then agents, that share the model's forward passes

SPEC = """
version: 1
name: analyst
instructions: |
  You answer questions about numbers.
  Use the python tool for every calculation; never calculate in your head.
model: {source: embedded, generation: {max_tokens: 256}}
deployment:
  principal: {name: Fjordtall AS, kind: company, country: "NO", affiliates: []}
  distribution: internal
  languages: [en]
tools: {python: {}}
limits: {wall_s: 600}
"""


async def unseen_tools() -> dict[str, object]:
    model = load_embedded()
    no_tool, injections = round(CASES * 0.15), round(CASES * 0.11)
    cases = draw_cases(calls=CASES - no_tool - injections, no_tool=no_tool, injections=injections)
    try:
        with Progress(transient=True) as bar:
            task = bar.add_task("unseen tools", total=len(cases))
            report = await evaluate_tools(
                model,
                cases,
                prompt_format=model.prompt_format,
                together=TOGETHER,
                progress=lambda done, _: bar.update(task, completed=done),
            )
    finally:
        await model.aclose()
    print(report.as_table())
    return dict(report.as_json())


async def analyst_questions(folder: Path) -> list[dict[str, object]]:
    questions = draw_questions(QUESTIONS)
    answers: dict[int, str] = {}
    places = anyio.CapacityLimiter(TOGETHER)

    async def ask(number: int) -> None:
        # An agent of its own for each: what is judged is the question, not the history.
        spec = folder / str(number) / "agent.yaml"
        spec.parent.mkdir()
        spec.write_text(SPEC)
        async with places, Agent.open(spec, models=models) as agent:
            try:
                answers[number] = (await agent.run(questions[number].text)).text
            except AgentkitError as error:
                answers[number] = f"[{error.message}]"
        bar.update(task, completed=len(answers))

    with Progress(transient=True) as bar:
        task = bar.add_task("questions", total=len(questions))
        async with ModelPool() as models, anyio.create_task_group() as group:
            for number in range(len(questions)):
                group.start_soon(ask, number)
    return [
        {
            "question": question.text,
            "value": question.value,
            "answer": answers[number],
            "right": is_right(answers[number], question.value),
        }
        for number, question in enumerate(questions)
    ]


def main() -> None:
    tools = anyio.run(unseen_tools)
    with tempfile.TemporaryDirectory() as folder:
        rows = anyio.run(analyst_questions, Path(folder))
    right = sum(bool(row["right"]) for row in rows)
    share = right / len(rows)
    label = "analyst questions"
    print(f"{label:<28}{right:>5} of {len(rows):<5}{share:>7.1%}   bar {QUESTIONS_BAR:.0%}")
    bars = dict(tools.pop("bars"))  # type: ignore[call-overload]  # a JSON object of our own
    bars[label] = {
        "bar": QUESTIONS_BAR,
        "value": round(share, 4),
        "holds": share >= QUESTIONS_BAR,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    result = {
        "machine": platform.processor() or platform.machine(),
        "bars": bars,
        "unseen_tools": tools,
        "questions": rows,
    }
    RESULTS.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
