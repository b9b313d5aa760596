"""From the ``policies`` section and the loaded tools to the policies that rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentkit.errors import SandboxError, SpecError
from agentkit.planner.policy import PolicySource, RuleFault, load_policies
from agentkit.spec.reading import decode, read_bytes
from agentkit.tools import load_tool, python_tool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkit.planner.policy import Policies
    from agentkit.sandbox import Execution
    from agentkit.spec import LoadedSpec
    from agentkit.tools import Tool

__all__ = ["declared_tools", "open_policies"]


def open_policies(loaded: LoadedSpec, tools: Sequence[Tool]) -> Policies | None:
    """Return the agent's policies, checked against its tools; None where it states none.

    Raises ``SpecError`` at the rule, or at the line of the Cedar file, that does not hold.
    """
    stated = loaded.spec.policies
    if stated is None:
        return None
    cedar = {}
    for name in stated.cedar:
        path = loaded.resolve(name)
        cedar[str(path)] = decode(read_bytes(path), str(path))
    rules = []
    for index, rule in enumerate(stated.rules):
        rules.append(rule.rule(loaded.place("policies", "rules", index)))
    source = PolicySource(tuple(rules), cedar, dict(stated.groups), stated.timezone)
    try:
        return load_policies(source, tools)
    except RuleFault as fault:
        index = [rule.id for rule in stated.rules].index(fault.rule_id)
        raise SpecError(
            f"policies.rules[{index}]: {fault.message}",
            cure=fault.fix,
            place=loaded.place("policies", "rules", index, *fault.at),
        ) from None


def declared_tools(loaded: LoadedSpec) -> tuple[Tool, ...]:
    """Return all tools of the specification as declarations, with nothing started.

    Raises ``ToolError`` and ``SpecError``. The tool that runs code refuses to.
    """
    own = tuple(
        load_tool(
            stated.function,
            loaded.resolve("."),
            name=name,
            place=loaded.place("tools", name, "function"),
        )
        for name, stated in loaded.spec.tools.items()
        if stated.function is not None
    )
    builtin = (python_tool(_NoSession()),) if "python" in loaded.spec.tools else ()
    return (*builtin, *own)


class _NoSession:
    """Stands where a sandbox would be, for commands that only look at declarations."""

    async def run(self, code: str, **_: Any) -> Execution:  # noqa: ANN401  # whatever is asked
        """Refuse."""
        raise SandboxError(
            f"no sandbox was opened for {len(code)} characters of code",
            cure="run the agent instead",
        )

    def taint(self) -> None:
        """Have no egress to take away."""

    async def reset(self) -> None:
        """Have nothing to forget."""
