"""One question to one agent, shown to a person or collected for a program."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
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

__all__ = ["ask", "ask_as_json", "resume_as_json", "resume_run"]


async def ask(screen: Screen, spec: Path, text: str, approver: Approver | None) -> Answer:
    """Start the agent, ask it, and show everything on the way; the answer too."""
    return await _show(screen, spec, approver, text=text)


async def resume_run(screen: Screen, spec: Path, run_id: str, approver: Approver | None) -> Answer:
    """Start the agent on a run it left, go on, and show everything on the way."""
    return await _show(screen, spec, approver, run_id=run_id)


async def ask_as_json(screen: Screen, spec: Path, text: str, approver: Approver | None) -> Answer:
    """Start the agent, ask it, and print one JSON object, also where it fails."""
    return await _emit(screen, spec, approver, text=text)


async def resume_as_json(
    screen: Screen, spec: Path, run_id: str, approver: Approver | None
) -> Answer:
    """Start the agent on a run it left, go on, and print one JSON object."""
    return await _emit(screen, spec, approver, run_id=run_id)


async def _show(
    screen: Screen,
    spec: Path,
    approver: Approver | None,
    *,
    text: str | None = None,
    run_id: str | None = None,
) -> Answer:
    loaded = load_spec(spec)
    with ShownProgress(screen) as progress:
        startup = StartupView(screen, progress)
        turn = TurnView(screen, loaded.spec.sandbox.tier.value)
        async with Agent.open(
            loaded,
            run_id=run_id,
            approver=approver,
            observe=turn,
            observe_startup=startup,
            progress=progress,
        ) as agent:
            progress.clear()
            startup.finish(agent.report)
            screen.title("Question" if text is not None else "Resumed")
            screen.block(text if text is not None else agent.run_id, indent=2)
            try:
                answer = await (agent.resume() if text is None else agent.run(text))
            finally:
                turn.settle()
            show_answer(screen, answer)
            screen.row("audit", f"{agent.log.path}, run {agent.run_id}")
    return answer


async def _emit(
    screen: Screen,
    spec: Path,
    approver: Approver | None,
    *,
    text: str | None = None,
    run_id: str | None = None,
) -> Answer:
    result: JsonObject = {"ok": False, "spec": str(spec)}
    try:
        # stdout is the object's alone; what a tool prints goes where logs go.
        with redirect_stdout(sys.stderr):
            answer = await _collect(screen, spec, approver, result, text=text, run_id=run_id)
    except AgentkitError as error:
        result["error"] = error_json(error)
        raise
    finally:
        screen.emit(result)
    return answer


async def _collect(
    screen: Screen,
    spec: Path,
    approver: Approver | None,
    result: JsonObject,
    *,
    text: str | None,
    run_id: str | None,
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
            run_id=run_id,
            approver=approver,
            observe=note_event,
            observe_startup=note_check,
            progress=progress,
        ) as agent:
            result["notices"] = [*agent.report.notices]
            result["audit"] = {"path": str(agent.log.path), "run_id": agent.run_id}
            answer = await (agent.resume() if text is None else agent.run(text))
    result |= {"ok": True, "answer": answer_json(answer)}
    return answer
