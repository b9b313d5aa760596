"""The gate's time: for each call of the tasks, and as the conversation grows."""

from __future__ import annotations

import gc
import json
import math
import statistics
import time
from typing import TYPE_CHECKING, Any

from agentkit.guards import Boundary, GuardPipeline
from agentkit.labels import Integrity, Label, Source, SourceKind
from agentkit.messages import Message, ToolCallPart, ToolResultPart
from agentkit.planner import Gate
from gate_suite.mail import MAIL
from gate_suite.run import Case
from gate_suite.suite import Run
from gate_suite.world import TODAY, USER, World

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gate_suite.run import House
    from gate_suite.suite import Suite

__all__ = ["MESSAGES", "call_times", "conversation_of", "growth", "percentile"]

MESSAGES = (10, 20, 50, 100, 200)
_REPEATS = 15


async def growth(advance: Callable[[int], None]) -> dict[str, Any]:
    """Return the milliseconds for each length, and the exponent of the fitted power.

    The fastest of some repetitions: what the work costs, not what else the machine was doing.
    """
    guards = GuardPipeline(dict.fromkeys(Boundary, ()), timeout_s=5)
    tools = MAIL.tools(World.drawn(MAIL.create, 1))
    fastest = []
    for count in MESSAGES:
        gate = Gate(tools, {}, guards, guards)
        conversation = conversation_of(count)
        call = ToolCallPart(
            "1.9.1",
            "send_mail",
            {"to": [USER, "per.bakken@fjordtall.example"], "subject": "Re", "body": "word " * 80},
            conversation[-1].label,
        )
        await gate.rule(call, conversation)
        seconds = []
        gc.disable()
        for _ in range(_REPEATS):
            begun = time.perf_counter()
            await gate.rule(call, conversation)
            seconds.append(time.perf_counter() - begun)
        gc.enable()
        fastest.append(1000 * min(seconds))
    advance(1)
    return {"messages": MESSAGES, "ms": fastest, "exponent": _exponent(fastest)}


async def call_times(suite: Suite, house: House, advance: Callable[[int], None]) -> list[float]:
    """Return the seconds the gate took for each call of each task, one task at a time."""
    seconds: list[float] = []
    for task in suite.tasks:
        (seen,) = await suite.run([Run(Case(task), honest=True)], house, advance)
        seconds.extend(seen.gate_s)
    return seconds


def percentile(values: Sequence[float], share: int) -> float:
    """Return the value below which ``share`` percent lie; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * share // 100)] if ordered else 0.0


def conversation_of(count: int) -> tuple[Message, ...]:
    """Return ``count`` messages: instructions, a request, then calls and results in turn."""
    messages = [Message.system(MAIL.instructions), Message.user(f"Read my mail of {TODAY}.", "r/1")]
    while len(messages) < count:
        number = len(messages)
        identifier = f"1.{number}.1"
        label = messages[-1].label
        call = ToolCallPart(identifier, "read_mail", {"id": number}, label)
        messages.append(Message("assistant", (call,)))
        mail = {
            "id": number,
            "sender": f"person{number}@fjordtall.example",
            "recipients": [USER],
            "date": TODAY,
            "subject": f"Sak {number}",
            "body": f"Tallet er {number * 1379}. " + "Vi ses på møtet i morgen tidlig. " * 12,
        }
        source = Source(SourceKind.TOOL, f"read_mail#{identifier}")
        untrusted = Label(Integrity.UNTRUSTED, sources=(source,))
        result = ToolResultPart(identifier, "read_mail", json.dumps(mail), untrusted)
        messages.append(Message("tool", (result,)))
    return tuple(messages[:count])


def _exponent(milliseconds: list[float]) -> float:
    """Return the slope of log time over log length."""
    logs = [math.log(count) for count in MESSAGES]
    return statistics.linear_regression(logs, [math.log(value) for value in milliseconds]).slope
