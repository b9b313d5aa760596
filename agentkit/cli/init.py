"""``agentkit init``: begin with a template."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from agentkit.cli.files import write_files
from agentkit.cli.screen import Screen
from agentkit.spec import read_template, template_names

__all__ = ["init"]


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write.")] = Path(),
    template: Annotated[
        str, typer.Option("--template", "-t", metavar="NAME", help=", ".join(template_names()))
    ] = template_names()[0],
    list_templates: Annotated[bool, typer.Option("--list", help="List the templates.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
) -> None:
    """Write an agent.yaml to begin with; never over an existing file without --force."""
    screen = Screen.here()
    if list_templates:
        rows = ((name, ", ".join(read_template(name)), _about(name)) for name in template_names())
        screen.table("template", "files", "what it is", rows=rows)
        return
    written = write_files(folder, read_template(template), force=force)
    for path in written:
        screen.row("wrote", str(path))
    spec = shlex.quote(str(folder / "agent.yaml"))
    screen.row("next", f"agentkit validate {spec}")
    screen.row("then", f'agentkit run {spec} "..."')


def _about(name: str) -> str:
    """Return the template's own first line."""
    first = read_template(name)["agent.yaml"].splitlines()[0]
    return first.removeprefix("#").strip()
