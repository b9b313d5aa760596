"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

__all__ = ["ApproverKeyFile", "ApproverName", "AsJson", "LogOrSpec", "SpecFile"]

# A file that may not be read is told by what reads it, with its place and cure, not by Typer.
SpecFile: TypeAlias = Annotated[
    Path, typer.Argument(help="The agent.yaml.", metavar="FILE", readable=False)
]

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

ApproverName: TypeAlias = Annotated[
    str,
    typer.Option(
        "--approver",
        metavar="NAME",
        help="Whose answers are recorded at approvals; by default the user of the system.",
    ),
]

ApproverKeyFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--approver-key",
        metavar="FILE",
        help="Ask here and sign the answers with this key; see `agentkit approvals keygen`.",
        readable=False,
    ),
]

LogOrSpec: TypeAlias = Annotated[
    Path,
    typer.Argument(
        help="Folder of an audit log, or an agent.yaml.", metavar="PATH", readable=False
    ),
]
