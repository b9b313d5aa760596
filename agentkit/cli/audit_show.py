"""``agentkit audit show``: all that a log says of one call, one run or one record."""

import json
from itertools import groupby
from typing import Annotated

import typer

from agentkit.audit import Entry, read_events
from agentkit.audit import show as show_log
from agentkit.cli.audit_place import find_log
from agentkit.cli.audit_words import said
from agentkit.cli.call_chain import find_chain
from agentkit.cli.chain_view import show_chain
from agentkit.cli.options import AsJson, LogOrSpec
from agentkit.cli.screen import Screen
from agentkit.errors import AuditError
from agentkit.messages import JsonValue

__all__ = ["show"]

_SHOWN_LINES = 40


def show(
    path: LogOrSpec,
    whole_run: Annotated[
        str, typer.Argument(metavar="[RUN]", help="A run, or how it begins.", show_default=False)
    ] = "",
    whole_call: Annotated[
        str, typer.Argument(metavar="[CALL]", help="A call of it: its chain.", show_default=False)
    ] = "",
    *,
    call: Annotated[str, typer.Option("--call", metavar="ID", help="A call, such as 1.1.1.")] = "",
    run: Annotated[str, typer.Option("--run", metavar="ID", help="A run, or how it begins.")] = "",
    index: Annotated[
        int | None, typer.Option("--index", metavar="N", min=0, help="A record's number.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show one call's whole chain, from the user's message to the answer; or single records."""
    if whole_call:
        chain = find_chain(find_log(path), whole_run, whole_call)
        screen = Screen.here()
        if as_json:
            screen.emit(chain.to_json())
        else:
            show_chain(screen, chain)
        return
    run = run or whole_run
    if not call and not run and index is None:
        raise typer.BadParameter("give a run and a call, or --call, --run or --index")
    screen = Screen.here()
    log = find_log(path)
    # A run's id may be shortened, so runs are matched here and not by the log.
    if call or index is not None:
        entries = show_log(log, call_id=call, index=index)
    else:
        entries = list(read_events(log))
    entries = [entry for entry in entries if entry.record.run_id.startswith(run)]
    if not entries:
        raise AuditError(
            "no record fits", cure=f"look at the end of the log: agentkit audit tail {path}"
        )
    if as_json:
        screen.emit([entry.as_dict() for entry in entries])
        return
    for run_id, group in groupby(entries, key=lambda entry: entry.record.run_id):
        screen.title(f"Run {run_id}" if run_id else "The log itself")
        for entry in group:
            _show(screen, entry)


def _show(screen: Screen, entry: Entry) -> None:
    record = entry.record
    head = f"{record.time}  record {record.index}"
    if record.turn:
        head += f"  turn {record.turn}"
    if record.call_id:
        head += f"  call {record.call_id}"
    screen.out.print()
    screen.row(record.kind.value, said(entry), style="bold")
    screen.row("", head, style="dim")
    for name, value in sorted(record.body.items()):
        screen.row("", f"{name}: {_spelled(value)}")
    for name, value in sorted(entry.sensitive.items()):
        screen.row("", f"{name}:")
        screen.block(_spelled(value), lines=_SHOWN_LINES)
    for name in entry.gone:
        screen.row("", f"{name}: erased, or kept elsewhere", style="yellow")
    screen.row("", f"leaf {record.leaf_hash}", style="dim")


def _spelled(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
