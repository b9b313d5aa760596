"""Functions of the host that sandboxed code may call: the host's end of each call.

A call arrives as a frame ``{"type": "call", "call": n, "name", "arguments": JSON text}`` and is
answered by ``{"op": "answer", "call": n, "value": JSON text}`` or with ``"error"`` for a value.

What is covered: only functions given to this very run are called, one at a time, with an object of
strict JSON, so that no NaN slips through a schema's bounds and no key stands twice; a run's calls
are numbered without gaps, counted, bounded in size and end with the run's time. What a function
returns is bounded too.
What is not covered: what a function does with its arguments. They are the code's own choice, and
so untrusted: whoever gives a function to code decides there.
"""

from __future__ import annotations

import json
from contextvars import ContextVar
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

import anyio
import structlog

from agentkit.errors import AgentkitError, SandboxError, ToolError
from agentkit.sandbox.aside import LARGE, aside
from agentkit.strict_json import JsonProblem, decode_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentkit.messages import JsonObject
    from agentkit.sandbox.interface import HostFunction, Limits

__all__ = ["CallDesk", "CallRefused", "CallUnanswered", "declared", "serving"]

_NAME_LENGTH = 100
_log = structlog.get_logger(__name__)

serving: ContextVar[frozenset[int]] = ContextVar("serving", default=frozenset())
"""The ids of the sessions that wait for the host function that runs in this context."""


class CallRefused(Exception):
    """The code's calls broke a rule that honest code cannot break, or their bound."""


class CallUnanswered(Exception):
    """A function of the host was still at work when the run's time was over."""


def declared(functions: Mapping[str, HostFunction]) -> dict[str, list[str]]:
    """Return name → parameters by position, for the request. Raises ``SandboxError``."""
    for name in functions:
        if not name.isidentifier() or iskeyword(name) or name.startswith("__"):
            raise SandboxError(
                f"{name[:_NAME_LENGTH]!r} is no name for a function in the sandbox",
                cure="use a Python identifier that is no keyword and begins with no '__'",
            )
    return {
        name: [str(parameter) for parameter in getattr(function, "parameters", ())]
        for name, function in functions.items()
    }


class CallDesk:
    """Answers the calls of one run."""

    def __init__(
        self, functions: Mapping[str, HostFunction], limits: Limits, session: int, deadline: float
    ) -> None:
        self._functions = functions
        self._limits = limits
        self._session = session
        self._deadline = deadline
        self._count = 0

    async def answer(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Return the answer frame. Raises ``CallRefused`` and ``CallUnanswered``, which end the
        run, and what must stop more than that.
        """
        self._count += 1
        if self._count > self._limits.calls:
            raise CallRefused(f"the code called functions more than {self._limits.calls} times")
        name, text = frame.get("name"), frame.get("arguments")
        if frame.get("call") != self._count or not isinstance(name, str):
            raise CallRefused("the code forged a call")
        if not isinstance(text, str) or len(text) > self._limits.call_bytes:
            raise CallRefused("the code forged a call's arguments")
        answer: dict[str, Any] = {"op": "answer", "call": self._count}
        function = self._functions.get(name)
        if function is None:
            known = ", ".join(sorted(self._functions)) or "none"
            return {**answer, "error": f"no function {name[:_NAME_LENGTH]!r} here; there: {known}"}
        try:
            arguments = await aside(len(text) > LARGE, _parsed, text)
        except JsonProblem as problem:
            return {**answer, "error": f"{name}: its arguments are not accepted. {problem}"}
        return {**answer, **await self._call(name, function, arguments)}

    async def _call(
        self, name: str, function: HostFunction, arguments: JsonObject
    ) -> dict[str, str]:
        token = serving.set(serving.get() | {self._session})
        try:
            value: str | None = None
            with anyio.CancelScope(deadline=self._deadline):
                value = json.dumps(await function(arguments), allow_nan=False)
        except ToolError as error:
            return {"error": error.message[: self._limits.call_bytes]}
        except AgentkitError:
            raise
        except Exception as error:  # noqa: BLE001  a function's defect is told to the code and logged
            _log.exception("host_function_failed", function=name)
            return {"error": f"{name} failed: {type(error).__name__}"}
        finally:
            serving.reset(token)
        if value is None:
            raise CallUnanswered(f"the time was over while {name} worked")
        if len(value) > self._limits.call_bytes:
            return {"error": f"{name}: its answer is over {self._limits.call_bytes} bytes"}
        return {"value": value}


def _parsed(text: str) -> JsonObject:
    """Return a call's arguments. Raises ``JsonProblem`` for what a model's call may not hold."""
    value, end = decode_json(text)
    if end != len(text) or not isinstance(value, dict):
        raise JsonProblem("They are no JSON object.")
    return value
