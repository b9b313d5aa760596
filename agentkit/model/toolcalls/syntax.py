"""What a call looks like in text, and what reading a reply yields."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agentkit.model.protocol import InvalidCallDelta, ToolCallDelta

__all__ = ["MAX_CALLS", "NAME_PATTERN", "CallProblem", "CallSyntax", "ParsedReply", "is_tool_name"]

MAX_CALLS: Final = 64
"""Calls that one reply may hold; more is a runaway generation, refused as a whole."""

NAME_PATTERN: Final = r"[A-Za-z_][A-Za-z0-9_.\-]{0,127}"
"""A tool's name: an identifier that may also hold dots and hyphens (MCP servers use both)."""

_NAME = re.compile(NAME_PATTERN)


class CallSyntax(StrEnum):
    """How a call is written in a reply.

    ``pythonic``: ``[name(key=literal, ...), ...]``. ``tag``: ``<function=name>{...}</function>``.
    ``json``: ``{"name": ..., "arguments": {...}}``, several one after another or in an array.
    """

    PYTHONIC = "pythonic"
    JSON = "json"
    TAG = "tag"


class CallProblem(Exception):  # not an AgentkitError: it never leaves the room
    """Why text that tries to be a call is none: one sentence that the model can act on."""


@dataclass(frozen=True, slots=True)
class ParsedReply:
    """A reply that was read whole: either its text, or its calls in order and an empty text."""

    text: str
    calls: tuple[ToolCallDelta | InvalidCallDelta, ...] = ()


def is_tool_name(name: str) -> bool:
    """Whether ``name`` can be the name of a tool in every syntax."""
    return _NAME.fullmatch(name) is not None
