"""``agentkit audit verify``: compute everything in a log again, and say whether it holds."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from agentkit.audit import VerificationReport
from agentkit.audit import verify as verify_log
from agentkit.cli.audit_pins import read_checkpoint, read_key
from agentkit.cli.audit_place import find_log
from agentkit.cli.options import AsJson, LogOrSpec
from agentkit.cli.screen import Screen, state_style
from agentkit.errors import AuditDamaged

__all__ = ["show_report", "verify"]


def verify(
    path: LogOrSpec,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            metavar="FILE",
            help="A signed checkpoint kept elsewhere, or a file of many.",
            readable=False,
        ),
    ] = None,
    key: Annotated[
        str,
        typer.Option(
            "--key", metavar="LINE", help="The log's public key, or a file that holds it."
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Verify a log: hashes, order, signatures, checkpoints, and what was left unfinished."""
    screen = Screen.here()
    pinned = read_key(key) if key else None
    note = None if checkpoint is None else read_checkpoint(checkpoint, pinned)
    public_key = None if pinned is None else str(pinned)
    report = verify_log(find_log(path), public_key=public_key, checkpoint=note)
    if as_json:
        screen.emit(report.as_dict())
    else:
        show_report(screen, report)
    if not report.ok:
        raise typer.Exit(AuditDamaged.exit_code)


def show_report(screen: Screen, report: VerificationReport) -> None:
    """Show what a verification found."""
    screen.title("Audit log")
    screen.row("result", _result(report))
    screen.row("path", report.path)
    screen.row("log", report.log or "unknown")
    pinned = "as given" if report.key_pinned else "the log's own; give --key to pin it"
    screen.row("key", f"{report.key} ({pinned})" if report.key else "none")
    screen.row("records", f"{report.events} in {report.segments} segments")
    if report.events:
        screen.row("time", f"{report.first_time} to {report.last_time}")
    if report.clock_steps_back:
        screen.row("clock", f"stepped back {report.clock_steps_back} times")
    screen.row("signed", f"{report.signed_events} records under {report.checkpoints} checkpoints")
    if report.unsigned_events:
        screen.row("unsigned", Text(_unsigned(report), style="yellow"))
    held = report.commitments
    screen.row("content", f"{held.opened} fit, {held.erased} erased, {held.withheld} not here")
    if report.recoveries:
        indices = ", ".join(map(str, report.recoveries))
        screen.row("recovered", f"at record {indices}: what was torn or unsigned at an opening")
    if report.torn_bytes:
        screen.row("torn", f"{report.torn_bytes} bytes at the end, by a crash or a writer at work")
    for intent in report.unanswered_intents:
        tool = intent.body.get("tool", "?")
        line = f"record {intent.index}: call {intent.call_id} of {tool} may have run; no outcome"
        screen.row("open", Text(line, style="yellow"))
    if report.problems:
        screen.table(
            "record",
            "segment",
            "byte",
            "what is wrong",
            rows=(
                (*map(_number, (problem.index, problem.segment, problem.offset)), problem.what)
                for problem in report.problems
            ),
        )


def _result(report: VerificationReport) -> Text:
    if not report.ok:
        return Text("damaged", style=state_style("error"))
    if not report.unsigned_events:
        return Text("verified", style=state_style("verified"))
    if not report.signed_events:
        return Text("whole, but not signed yet", style="yellow")
    return Text(f"verified up to record {report.signed_events - 1}", style="yellow")


def _unsigned(report: VerificationReport) -> str:
    return (
        f"{report.unsigned_events} records are not signed yet: whoever can write the file could"
        " have changed or cut them; a checkpoint kept elsewhere shows more"
    )


def _number(number: int) -> str:
    return str(number) if number >= 0 else "-"
