"""``agentkit runs``: which runs there are, how each stands, go on with one, end one."""

import json
from typing import Annotated

import typer

from agentkit.audit import AuditEvent, AuditLog, EventKind
from agentkit.cli.approver import os_user
from agentkit.cli.interruptible import run_interruptible
from agentkit.cli.one_turn import resume_as_json, resume_run
from agentkit.cli.options import ApproverKeyFile, ApproverName, AsJson, SpecFile
from agentkit.cli.person import person_for
from agentkit.cli.screen import Screen
from agentkit.cli.state_place import moment, open_place
from agentkit.cli.untrusted import one_line
from agentkit.messages import JsonObject
from agentkit.planner.runs import RunRow
from agentkit.spec import load_spec

__all__ = ["cancel", "list_runs", "resume", "show_run"]

RunId = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, or how it begins.", show_default=False)
]


def list_runs(spec: SpecFile, as_json: AsJson = False) -> None:
    """List the runs, the last touched first."""
    screen = Screen.here()
    with open_place(spec) as place, place.state.transaction() as connection:
        runs = place.runs.all(connection)
    if as_json:
        screen.emit([run_json(run) for run in runs])
        return
    if not runs:
        screen.out.print("There are no runs yet.")
        return
    screen.table(
        "run",
        "agent",
        "status",
        "turn",
        "last",
        "touched",
        rows=(
            (
                run.run_id,
                run.agent,
                run.status,
                str(run.turn),
                run.reason,
                moment(run.updated_ms),
            )
            for run in runs
        ),
    )


def show_run(spec: SpecFile, run: RunId, as_json: AsJson = False) -> None:
    """Show one run: its turns, its answers, and what it waits for."""
    screen = Screen.here()
    with open_place(spec) as place, place.state.transaction() as connection:
        row = place.runs.find(connection, run)
        turns = place.runs.turns(connection, row.run_id)
        waiting = [
            request
            for request in place.approvals.pending(connection)
            if request.binding.run_id == row.run_id
        ]
    if as_json:
        shown = run_json(row)
        shown["turns"] = [
            {
                "turn": turn.turn,
                "text": turn.text,
                "answer": turn.answer.text if turn.answer else None,
            }
            for turn in turns
        ]
        shown["waiting"] = [request.request_id for request in waiting]
        screen.emit(shown)
        return
    screen.title(f"Run {row.run_id}")
    screen.row("agent", row.agent)
    screen.row("status", f"{row.status} {row.reason}".strip())
    screen.row("begun", moment(row.created_ms))
    screen.row("touched", moment(row.updated_ms))
    for turn in turns:
        screen.title(f"Turn {turn.turn}")
        screen.block(turn.text, indent=2)
        if turn.answer is not None:
            screen.row("answer", "")
            screen.block(turn.answer.text)
    for request in waiting:
        arguments = json.dumps(request.arguments, ensure_ascii=False)
        screen.row("waits", one_line(f"{request.request_id}: {request.binding.tool} {arguments}"))


def resume(
    spec: SpecFile,
    run: RunId,
    as_json: AsJson = False,
    approver: ApproverName = "",
    key: ApproverKeyFile = None,
) -> None:
    """Go on with a run that was suspended or interrupted; nothing is done twice."""
    with open_place(spec) as place, place.state.transaction() as connection:
        row = place.runs.find(connection, run)
    person = person_for(load_spec(spec), approver or os_user(), key)
    run_interruptible(
        resume_as_json if as_json else resume_run, Screen.here(), spec, row.run_id, person
    )


def cancel(
    spec: SpecFile,
    run: RunId,
    reason: Annotated[str, typer.Option("--reason", help="Recorded in the audit log.")] = "",
) -> None:
    """End a run for good; its open questions become void. The agent must not be running."""
    screen = Screen.here()
    with open_place(spec) as place:
        audit = place.loaded.resolve(place.loaded.spec.audit.path)
        with AuditLog.open(audit) as log, place.state.transaction() as connection:
            row = place.runs.find(connection, run)
            log.append(
                AuditEvent(
                    EventKind.TURN_ENDED,
                    row.run_id,
                    row.turn,
                    body={"reason": "run_cancelled", "by": os_user(), "why": reason},
                )
            )
            place.runs.cancel(connection, row.run_id, "cancelled")
            place.approvals.void_run(connection, row.run_id, "the run was cancelled")
    screen.row("cancelled", row.run_id)


def run_json(run: RunRow) -> JsonObject:
    """Return a run as JSON for a program."""
    return {
        "run": run.run_id,
        "agent": run.agent,
        "spec_sha256": run.spec_sha256,
        "status": run.status,
        "reason": run.reason,
        "turn": run.turn,
        "attempt": run.attempt,
        "begun": moment(run.created_ms),
        "touched": moment(run.updated_ms),
    }
