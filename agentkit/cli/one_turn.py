"""One question to one agent, shown to a person or collected for a program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.agent import Agent
from agentkit.cli.failures import error_json
from agentkit.cli.progress import ShownProgress
from agentkit.cli.startup_view import StartupView
from agentkit.cli.turn_json import answer_json, event_json
from agentkit.cli.turn_view import TurnView, show_answer
from agentkit.errors import AgentkitError
from agentkit.spec import load_spec

if TYPE_CHECKING:
    from pathlib import Path

    from agentkit.cli.screen import Screen
    from agentkit.messages import JsonObject, JsonValue
    from agentkit.planner import Answer, Approver, TurnEvent
    from agentkit.startup import StartupCheck

__all__ = ["ask", "ask_as_json"]


async def ask(screen: Screen, spec: Path, text: str, approver: Approver) -> Answer:
    """Start the agent, ask it, and show everything on the way; the answer too."""
    loaded = load_spec(spec)
    with ShownProgress(screen) as progress:
        startup = StartupView(screen, progress)
        turn = TurnView(screen, loaded.spec.sandbox.tier.value)
        async with Agent.open(
            loaded, approver=approver, observe=turn, observe_startup=startup, progress=progress
        ) as agent:
            progress.clear()
            startup.finish(agent.report)
            screen.title("Question")
            screen.block(text, indent=2)
            try:
                answer = await agent.run(text)
            finally:
                turn.settle()
            show_answer(screen, answer)
            screen.row("audit", f"{agent.log.path}, run {agent.run_id}")
    return answer


async def ask_as_json(screen: Screen, spec: Path, text: str, approver: Approver) -> Answer:
    """Start the agent, ask it, and print one JSON object, also where it fails."""
    result: JsonObject = {"ok": False, "spec": str(spec)}
    try:
        answer = await _collect(screen, spec, text, approver, result)
    except AgentkitError as error:
        result["error"] = error_json(error)
        raise
    finally:
        screen.emit(result)
    return answer


async def _collect(
    screen: Screen, spec: Path, text: str, approver: Approver, result: JsonObject
) -> Answer:
    loaded = load_spec(spec)
    result |= {"agent": loaded.spec.name, "spec_sha256": loaded.sha256}
    startup: list[JsonValue] = []
    events: list[JsonValue] = []
    result |= {"startup": startup, "notices": [], "events": events}
    tier = loaded.spec.sandbox.tier.value

    def note_check(check: StartupCheck) -> None:
        startup.append({**check.to_json(), "elapsed_s": round(check.elapsed_s, 4)})

    def note_event(event: TurnEvent) -> None:
        events.append(event_json(event, tier))

    with ShownProgress(screen) as progress:
        async with Agent.open(
            loaded,
            approver=approver,
            observe=note_event,
            observe_startup=note_check,
            progress=progress,
        ) as agent:
            result["notices"] = [*agent.report.notices]
            result["audit"] = {"path": str(agent.log.path), "run_id": agent.run_id}
            answer = await agent.run(text)
    result |= {"ok": True, "answer": answer_json(answer)}
    return answer
