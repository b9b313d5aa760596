"""``agentkit schema``: agent.yaml's JSON Schema, for editors."""

import json
from pathlib import Path
from typing import Annotated

import typer

from agentkit.cli.files import write_files
from agentkit.cli.screen import Screen
from agentkit.spec import agent_json_schema

__all__ = ["schema"]


def schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it to this file.")
    ] = None,
) -> None:
    """Print the JSON Schema of agent.yaml."""
    if output is None:
        Screen.here().emit(agent_json_schema())
        return
    text = json.dumps(agent_json_schema(), indent=2) + "\n"
    write_files(output.parent, {output.name: text}, force=True)
