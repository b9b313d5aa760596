"""The built-in ``python`` tool: code runs in a sandbox session, never in our own process.

The session keeps its variables between the calls of one turn. The result's label is the join of
the code's own label, for the sandbox reaches nothing else (no network, no files of the host).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from agentkit.errors import ToolError
from agentkit.sandbox.interface import ExitReason
from agentkit.tools.declaration import Effect, Tool, ToolCall

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentkit.messages import JsonObject
    from agentkit.sandbox.interface import Execution, SandboxSession

__all__ = ["execution_text", "python_tool"]

_PARAMETERS: JsonObject = {
    "type": "object",
    "properties": {"code": {"type": "string", "description": "Python source; print the result"}},
    "required": ["code"],
    "additionalProperties": False,
}
_WITH_TOOLS = (
    "Run Python and return what it prints. In it, each other tool is a function that returns the "
    "tool's result, parsed where it is JSON, and raises HostFunctionError where it is refused"
)


def python_tool(
    session: SandboxSession,
    *,
    observe: Callable[[str, Execution], None] | None = None,
    record: Callable[[str, Execution], Awaitable[None]] | None = None,
    programs: bool = False,
) -> Tool:
    """Return the ``python`` tool over one open session.

    ``observe`` is told of each finished run by its call id, for a face that shows it; ``record``
    writes it down before the model hears of it, and may raise to stop the turn. Calls run one
    after the other: they share the session's state. ``programs``: code may call the other allowed
    tools as functions, each call through the gate.
    """
    turn = anyio.Lock()

    async def run(call: ToolCall) -> str:
        code = call.arguments["code"]
        if not isinstance(code, str):
            raise ToolError("code must be a string")
        async with turn:
            if call.tainted or call.functions:  # what a function returns may be anybody's words
                session.taint()
            execution = await session.run(code, functions=call.functions)
        if record is not None:
            await record(call.call_id, execution)
        if observe is not None:
            observe(call.call_id, execution)
        text = execution_text(execution)
        if not execution.ok:
            raise ToolError(text)
        return text

    return Tool(
        name="python",
        description=_WITH_TOOLS if programs else "Run Python and return what it prints",
        parameters=_PARAMETERS,
        function=run,
        effect=Effect.READ,
        returns="inputs",
        code_parameters=frozenset({"code"}),
        runs_programs=programs,
    )


def execution_text(execution: Execution) -> str:
    """Return what a model is told of a run: output first, then the value, then why it ended."""
    pieces = [execution.stdout.rstrip("\n"), execution.stderr.rstrip("\n")]
    if execution.value is not None and not execution.stdout:
        pieces.append(str(execution.value))
    if execution.exit_reason is not ExitReason.OK:
        pieces.append(f"[{execution.exit_reason}] {execution.error}")
    if execution.state_lost:
        pieces.append("[the interpreter was restarted: earlier variables are gone]")
    return "\n".join(piece for piece in pieces if piece) or "[no output]"
