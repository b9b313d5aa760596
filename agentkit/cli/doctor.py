"""``agentkit doctor``: what this machine has, what lacks, and its cure."""

import typer
from rich.text import Text

from agentkit.cli.machine import Part, State, inspect_machine, missing_for_demo
from agentkit.cli.options import AsJson
from agentkit.cli.screen import Screen, state_style

__all__ = ["doctor", "show_missing"]

CANNOT_RUN = 1
"""Exit code where the demo cannot run."""


def doctor(as_json: AsJson = False) -> None:
    """Show what this machine has and lacks; exit 0 where the demo can run."""
    screen = Screen.here()
    parts = inspect_machine()
    missing = missing_for_demo(parts)
    if as_json:
        checks = [part.to_json() for part in parts]
        screen.emit({"ok": not missing, "checks": checks})
    else:
        screen.table("check", "state", "what it means", "cure", rows=map(_row, parts))
        verdict = "cannot run: see what is missing" if missing else "can run: agentkit demo"
        screen.out.print(f"The demo {verdict}.")
    if missing:
        raise typer.Exit(CANNOT_RUN)


def show_missing(screen: Screen, missing: tuple[Part, ...]) -> None:
    """Write one line for each missing part to stderr."""
    for part in missing:
        screen.note(f"missing: {part.name}: {part.meaning}; cure: {part.cure}", style="red")


def _row(part: Part) -> tuple[str | Text, ...]:
    style = state_style(part.state.value) if part.state is not State.LATER else "yellow"
    return part.name, Text(part.state.value, style=style), part.meaning, part.cure
