"""Tagged calls: ``<function=name>{...}</function>``, one or several."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agentkit.model.protocol import ToolCallDelta
from agentkit.model.toolcalls.syntax import NAME_PATTERN, CallProblem
from agentkit.model.toolcalls.values import as_arguments, decode_json, skip_space

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["CALL_START", "parse_tag_calls"]

CALL_START: Final = r"<function="
"""How a reply starts that means to be a tagged call (a regular expression)."""

_OPEN: Final = re.compile(rf"<function=({NAME_PATTERN})>")
_CLOSE: Final = "</function>"
_FORM: Final = 'Write each call as <function=tool>{"key": "value"}</function> and nothing else.'


def parse_tag_calls(text: str, declared: Collection[str]) -> list[ToolCallDelta] | None:  # noqa: ARG001 (one signature for all syntaxes; a tag is explicit whatever is declared)
    """Return the calls that the stripped ``text`` consists of; None where it has no tag in front.

    Raises ``CallProblem`` where a tag stands in front and the rest is broken.
    """
    if not text.startswith("<function="):
        return None
    calls: list[ToolCallDelta] = []
    at = 0
    while at < len(text):
        opened = _OPEN.match(text, at)
        if opened is None:
            raise CallProblem(f"No well-formed tag stands at character {at}. {_FORM}")
        try:
            value, at = decode_json(text, skip_space(text, opened.end()))
            arguments = as_arguments(value, opened[1])
        except CallProblem as problem:
            raise CallProblem(f"{problem} {_FORM}") from None
        at = skip_space(text, at)
        if not text.startswith(_CLOSE, at):
            raise CallProblem(f"The tag of {opened[1]} is not closed after its JSON. {_FORM}")
        calls.append(ToolCallDelta(opened[1], arguments))
        at = skip_space(text, at + len(_CLOSE))
    return calls
