"""``agentkit run``: start an agent, ask it one thing, show the way to the answer."""

from typing import Annotated

import typer

from agentkit.cli.approver import os_user
from agentkit.cli.interruptible import run_interruptible
from agentkit.cli.message import read_message
from agentkit.cli.one_turn import ask, ask_as_json
from agentkit.cli.options import ApproverKeyFile, ApproverName, AsJson, SpecFile
from agentkit.cli.person import person_for
from agentkit.cli.screen import Screen
from agentkit.spec import load_spec

__all__ = ["run"]


def run(
    spec: SpecFile,
    message: Annotated[
        str, typer.Argument(metavar="MESSAGE", help="What to ask, or - to read it from stdin.")
    ],
    as_json: AsJson = False,
    approver: ApproverName = "",
    key: ApproverKeyFile = None,
) -> None:
    """Ask an agent one thing; show startup, each step with its decision, and the answer."""
    text = read_message(message)
    person = person_for(load_spec(spec), approver or os_user(), key)
    run_interruptible(ask_as_json if as_json else ask, Screen.here(), spec, text, person)
