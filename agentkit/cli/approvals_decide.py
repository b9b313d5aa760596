"""``agentkit approvals approve``, ``deny``, ``keygen``: signing decisions with one's own key."""

import json
import shlex
from pathlib import Path
from typing import Annotated, cast

import typer

from agentkit.cli.approvals import RequestId, request_json, standing_line
from agentkit.cli.options import AsJson, SpecFile
from agentkit.cli.screen import Screen
from agentkit.cli.state_place import open_place
from agentkit.errors import ApprovalError
from agentkit.messages import JsonObject
from agentkit.planner.approvals import ApproverKey

__all__ = ["DEFAULT_KEY", "approve", "deny", "keygen"]

DEFAULT_KEY = Path("~/.config/agentkit/approver.key")
"""Where an approver's private key is looked for."""

KeyFile = Annotated[
    Path,
    typer.Option("--key", metavar="FILE", help="Your private key, from `keygen`.", readable=False),
]
Comment = Annotated[str, typer.Option("--comment", help="Your words; they are signed too.")]


def approve(
    spec: SpecFile,
    request_id: RequestId,
    *,
    key: KeyFile = DEFAULT_KEY,
    comment: Comment = "",
    changes: Annotated[
        str,
        typer.Option(
            "--changes",
            metavar="JSON",
            help="Approve with these arguments instead; they pass the gate as a new proposal.",
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Sign a yes to one question; look at it with `approvals show` first."""
    changed = _arguments(changes) if changes else None
    key_pair = ApproverKey.load(key.expanduser())
    with open_place(spec) as place, place.state.transaction() as connection:
        place.approvals.decide(
            connection,
            request_id,
            "approve" if changed is None else "change",
            key_pair,
            comment=comment,
            changed=changed,
        )
    _show(spec, request_id, key_pair, as_json=as_json)


def deny(
    spec: SpecFile,
    request_id: RequestId,
    key: KeyFile = DEFAULT_KEY,
    comment: Comment = "",
    as_json: AsJson = False,
) -> None:
    """Sign a no to one question."""
    key_pair = ApproverKey.load(key.expanduser())
    with open_place(spec) as place, place.state.transaction() as connection:
        place.approvals.decide(connection, request_id, "deny", key_pair, comment=comment)
    _show(spec, request_id, key_pair, as_json=as_json)


def keygen(
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Your name in decisions, one word.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Where the private key goes.")
    ] = DEFAULT_KEY,
    as_json: AsJson = False,
) -> None:
    """Make your key: the private file stays with you, the public line goes into agent.yaml."""
    screen = Screen.here()
    path = out.expanduser()
    line = str(ApproverKey.create(name, path).verifier)
    if as_json:
        screen.emit({"name": name, "private": str(path), "public": line})
        return
    screen.row("private", f"{path} (yours alone: whoever has it decides in your name)")
    screen.row("public", line)
    screen.row("next", "have the operator add it at approvals.approvers, with your name as person")


def _show(spec: Path, request_id: str, key: ApproverKey, *, as_json: bool) -> None:
    screen = Screen.here()
    with open_place(spec) as place, place.state.transaction() as connection:
        request = place.approvals.find(connection, request_id)
        standing = place.approvals.stands(connection, request_id)
    if as_json:
        screen.emit(request_json(request, standing))
        return
    screen.row("signed", f"request {request_id}, as {key.name}")
    screen.row("stands", standing_line(standing))
    if standing.state != "waiting":
        screen.row(
            "next", f"agentkit runs resume {shlex.quote(str(spec))} {request.binding.run_id}"
        )


def _arguments(text: str) -> JsonObject:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ApprovalError(f"--changes is no JSON: {error}", cure="give one object") from error
    except RecursionError:
        raise ApprovalError("--changes is nested too deeply", cure="give one object") from None
    if not isinstance(found, dict):
        raise ApprovalError("--changes is no JSON object", cure="give all arguments of the call")
    return cast("JsonObject", found)
