"""From a reply's text to calls: total, linear, and never a call by accident.

What is covered:
- A reply becomes calls only as a whole: prose that quotes a call, a call inside a code fence, and a
  call with text around it do not run. All calls of a reply are well-formed, or none is returned.
- Any string ends in a ``ParsedReply``: recursion bombs, huge numbers, NaN, unpaired surrogates,
  duplicate keys and megabytes of junk are text or an ``InvalidCallDelta``.
- Nothing is evaluated; values are literals.

What is not covered:
- Whether the call is allowed, its tool declared or its arguments valid: the gate decides.
- Whose idea the call was: the caller labels it with what the model had read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentkit.model.protocol import InvalidCallDelta, ToolCallDelta
from agentkit.model.toolcalls.json_calls import parse_json_calls
from agentkit.model.toolcalls.pythonic import parse_pythonic_calls
from agentkit.model.toolcalls.syntax import MAX_CALLS, CallProblem, CallSyntax, ParsedReply
from agentkit.model.toolcalls.tag_calls import parse_tag_calls

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = ["parse_calls"]

_PARSERS: Final[dict[CallSyntax, Callable[[str, Collection[str]], list[ToolCallDelta] | None]]] = {
    CallSyntax.TAG: parse_tag_calls,
    CallSyntax.JSON: parse_json_calls,
    CallSyntax.PYTHONIC: parse_pythonic_calls,
}


def parse_calls(
    text: str, *, syntaxes: Collection[CallSyntax], declared: Collection[str]
) -> ParsedReply:
    """Read a whole reply. ``declared``: the names of the tools that the model was shown.

    A call in JSON or in a tag is explicit: it is returned whatever its name, and the gate denies
    an undeclared tool with a reason. A pythonic list looks like other text, so it must name a
    declared tool. A reply that starts as a call and is broken is one ``InvalidCallDelta``.
    Raises nothing.
    """
    stripped = text.strip()
    names = frozenset(declared)
    try:
        for syntax, parse in _PARSERS.items():
            calls = parse(stripped, names) if syntax in syntaxes else None
            if calls is not None:
                return ParsedReply("", _bounded(calls))
    except CallProblem as problem:
        return ParsedReply("", (InvalidCallDelta(text, str(problem)),))
    return ParsedReply(text)


def _bounded(calls: list[ToolCallDelta]) -> tuple[ToolCallDelta, ...]:
    if len(calls) > MAX_CALLS:
        raise CallProblem(f"One reply may hold {MAX_CALLS} calls at most.")
    return tuple(calls)
