"""``agentkit audit tail``: the last records of a log."""

from typing import Annotated

import typer
from rich.text import Text

from agentkit.audit import tail as tail_log
from agentkit.cli.audit_place import find_log
from agentkit.cli.audit_words import said
from agentkit.cli.options import AsJson, LogOrSpec
from agentkit.cli.screen import Screen

__all__ = ["tail"]


def tail(
    path: LogOrSpec,
    count: Annotated[
        int, typer.Option("--lines", "-n", min=1, max=10_000, help="How many records.")
    ] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the last records of a log, oldest first."""
    screen = Screen.here()
    entries = tail_log(find_log(path), count)
    if as_json:
        screen.emit([entry.as_dict() for entry in entries])
        return
    screen.table(
        "record",
        "time",
        "run",
        "call",
        "kind",
        "what",
        rows=(
            (
                str(entry.record.index),
                entry.record.time[:19].replace("T", " "),
                entry.record.run_id[:8],
                entry.record.call_id,
                entry.record.kind.value,
                Text(said(entry), no_wrap=True, overflow="ellipsis"),
            )
            for entry in entries
        ),
    )
