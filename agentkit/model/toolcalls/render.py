"""From calls back to text, for the history: whatever the arguments, they read back as they were.

What is covered: every string is escaped, so no argument can end its call and forge another one,
neither for our parser nor for a model that reads the history.

What is not covered: special tokens inside arguments; prompts keep them out (``model/prompt.py``).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Protocol

from agentkit.errors import ModelError
from agentkit.model.toolcalls.pythonic import KEY_PATTERN
from agentkit.model.toolcalls.syntax import CallProblem, CallSyntax, is_tool_name
from agentkit.model.toolcalls.values import check_value, clip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkit.messages import JsonObject, JsonValue

__all__ = ["NamedCall", "render_calls"]

_KEY = re.compile(KEY_PATTERN)


class NamedCall(Protocol):
    """What is needed of a call to write it: ``ToolCallPart`` and ``ToolCallDelta`` have it."""

    @property
    def name(self) -> str:
        """The tool's name."""

    @property
    def arguments(self) -> JsonObject:
        """The arguments."""


def render_calls(calls: Sequence[NamedCall], syntax: CallSyntax) -> str:
    """Return the calls as text that ``parse_calls`` reads back to the same calls.

    JSON is written where the asked syntax cannot say it (a key such as ``"a b"`` is no keyword);
    every format that takes the other syntaxes takes JSON as well. Raises ``ModelError`` where
    arguments are not JSON within the bounds of ``values.py``.
    """
    for call in calls:
        try:
            check_value(call.arguments)
        except CallProblem as problem:
            raise ModelError(
                f"a call of {clip(call.name)} cannot be written: {problem}",
                cure="build calls from parsed replies, whose arguments are bounded JSON",
            ) from None
    if syntax is CallSyntax.PYTHONIC and all(_is_pythonic(call) for call in calls):
        return f"[{', '.join(_pythonic(call) for call in calls)}]"
    if syntax is CallSyntax.TAG and all(is_tool_name(call.name) for call in calls):
        return "\n".join(_tag(call) for call in calls)
    return "\n".join(_dump({"name": call.name, "arguments": call.arguments}) for call in calls)


def _dump(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _tag(call: NamedCall) -> str:
    # "<" only ever stands inside strings; escaped, no argument can look like a closing tag.
    arguments = _dump(call.arguments).replace("<", "\\u003c")
    return f"<function={call.name}>{arguments}</function>"


def _is_pythonic(call: NamedCall) -> bool:
    return is_tool_name(call.name) and all(_KEY.fullmatch(key) for key in call.arguments)


def _pythonic(call: NamedCall) -> str:
    arguments = ", ".join(f"{key}={_literal(value)}" for key, value in call.arguments.items())
    return f"{call.name}({arguments})"


def _literal(value: JsonValue) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_dump(key)}: {_literal(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(_literal(item) for item in value)}]"
    if value is None or isinstance(value, bool):
        return str(value)
    return _dump(value)  # JSON's string escapes are Python's, as json.dumps writes them
