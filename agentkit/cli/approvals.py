"""``agentkit approvals list`` and ``show``: what waits for people, and why it is asked."""

import json
from typing import Annotated

import typer
from rich.text import Text

from agentkit.cli.options import AsJson, SpecFile
from agentkit.cli.screen import Screen, decided
from agentkit.cli.state_place import moment, open_place
from agentkit.cli.untrusted import one_line, spelled
from agentkit.messages import JsonObject
from agentkit.planner.approvals import OpenRequest, Standing

__all__ = ["RequestId", "list_requests", "request_json", "show_request", "standing_line"]

RequestId = Annotated[
    str, typer.Argument(metavar="REQUEST", help="A request's id, as `approvals list` shows it.")
]


def list_requests(
    spec: SpecFile,
    every: Annotated[bool, typer.Option("--all", help="Settled and void ones too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the questions that wait for people."""
    screen = Screen.here()
    with open_place(spec) as place, place.state.transaction() as connection:
        requests = [
            (request, place.approvals.stands(connection, request.request_id))
            for request in place.approvals.pending(connection, every=every)
        ]
    if as_json:
        screen.emit([request_json(request, standing) for request, standing in requests])
        return
    if not requests:
        screen.out.print("Nothing waits for a decision.")
        return
    screen.table(
        "request",
        "what",
        "call",
        "run",
        "rule",
        "yes",
        "expires",
        rows=(_row(request, standing) for request, standing in requests),
    )


def show_request(spec: SpecFile, request_id: RequestId, as_json: AsJson = False) -> None:
    """Show one question: exactly what would be used, why it is asked, and who has decided."""
    screen = Screen.here()
    with open_place(spec) as place, place.state.transaction() as connection:
        request = place.approvals.find(connection, request_id)
        standing = place.approvals.stands(connection, request_id)
    if as_json:
        screen.emit(request_json(request, standing))
        return
    binding = request.binding
    screen.title(f"Request {request.request_id}")
    screen.row("what", spelled(binding.tool))
    screen.row("rule", f"{request.decision['rule']}: {request.decision['reason']}")
    evidence = request.decision.get("evidence")
    for item in evidence if isinstance(evidence, list) else []:
        screen.row("evidence", spelled(json.dumps(item, ensure_ascii=False)))
    screen.row("uses", "exactly this")
    screen.block(spelled(_spelled(request)))
    screen.row("run", f"{binding.run_id}, call {binding.call_id}")
    screen.row("arguments", f"sha256 {binding.arguments_sha256}")
    screen.row("policy", f"sha256 {binding.policy_sha256}")
    screen.row("persons", str(request.persons))
    screen.row("asked", moment(request.asked_ms))
    screen.row("expires", moment(request.expires_ms))
    screen.row("stands", standing_line(standing))


def request_json(request: OpenRequest, standing: Standing) -> JsonObject:
    """Return a request as JSON for a program."""
    binding = request.binding
    return {
        "request": request.request_id,
        "tool": binding.tool,
        "arguments": request.arguments,
        "run": binding.run_id,
        "call": binding.call_id,
        "arguments_sha256": binding.arguments_sha256,
        "policy_sha256": binding.policy_sha256,
        "decision": request.decision,
        "persons": request.persons,
        "asked": moment(request.asked_ms),
        "expires": moment(request.expires_ms),
        "stands": standing.state,
        "people": [*standing.people],
        "why": standing.why,
    }


def standing_line(standing: Standing) -> str:
    """Return how a request stands, on one line."""
    people = f" by {', '.join(standing.people)}" if standing.people else ""
    why = f": {standing.why}" if standing.why else ""
    return f"{standing.state}{people}{why}"


def _row(request: OpenRequest, standing: Standing) -> tuple[str | Text, ...]:
    binding = request.binding
    waiting = standing.state == "waiting"
    yes = f"{len(standing.people)} of {request.persons}"
    return (
        request.request_id,
        one_line(f"{binding.tool} {json.dumps(request.arguments, ensure_ascii=False)}", 80),
        binding.call_id,
        binding.run_id[:12],
        str(request.decision["rule"]),
        yes if waiting else decided(_WORDS[standing.state]),
        moment(request.expires_ms),
    )


_WORDS = {
    "approved": "approved",
    "changed": "approved",
    "denied": "deny",
    "used": "used",
    "waiting": "ask",
}


def _spelled(request: OpenRequest) -> str:
    return json.dumps(request.arguments, ensure_ascii=False, sort_keys=True, indent=2)
