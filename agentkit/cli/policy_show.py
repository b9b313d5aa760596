"""``agentkit policy show``: all policies of an agent as the Cedar they compile to."""

from typing import Annotated

import typer

from agentkit.cli.options import AsJson, SpecFile
from agentkit.cli.screen import Screen
from agentkit.cli.untrusted import clean
from agentkit.errors import SpecError
from agentkit.spec import load_spec
from agentkit.startup import declared_tools, open_policies

__all__ = ["show"]


def show(
    spec: SpecFile,
    with_schema: Annotated[
        bool, typer.Option("--schema", help="Show the Cedar schema that policies are checked by.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print an agent's policies as Cedar, rules of the shorthand among them."""
    screen = Screen.here()
    loaded = load_spec(spec)
    policies = open_policies(loaded, declared_tools(loaded))
    if policies is None:
        raise SpecError(
            "this agent has no policies but the built-in gate",
            cure="add a policies section, see docs/policies.md",
            place=str(spec),
        )
    if as_json:
        screen.emit(
            {
                "policies": [*policies.ids],
                "policy_digest": policies.digest,
                "cedar": policies.text,
                "schema": policies.schema,
            }
        )
        return
    screen.out.file.write(clean(policies.schema if with_schema else policies.text))
    screen.note(f"{len(policies.ids)} policies, sha256 {policies.digest}")
