"""What a tool's declaration says of its result: which fields a system made, and who may see it.

A field path is a subset of JSONPath: ``$`` is the result, ``.name`` a member of an object, ``[*]``
every item of a list. A path names its whole subtree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from agentkit.errors import ToolError

__all__ = ["ReadersIn", "ResultFields", "ResultReaders", "ReturnRule", "path_steps"]

_PATH = re.compile(r"\$((?:\.[A-Za-z_][A-Za-z0-9_-]*|\[\*\])*)")
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_-]*)|\[(\*)\]")

ReturnRule = Literal["untrusted", "trusted", "inputs"]
"""How a result is labelled as a whole: always so, or (``inputs``) as the join of the call's
arguments, for functions that compute from nothing else: what they compute from clean values is
clean."""


def path_steps(path: str) -> tuple[str, ...]:
    """Return the steps of a field path: ``$.messages[*].id`` → ``("messages", "*", "id")``.

    Raises ``ToolError`` where it is no field path.
    """
    found = _PATH.fullmatch(path)
    if found is None:
        raise ToolError(
            f"{path!r} is no field path",
            cure="write $, then .name for a member and [*] for every item: $.messages[*].id",
        )
    return tuple(name or star for name, star in _STEP.findall(found[1]))


@dataclass(frozen=True, slots=True)
class ResultFields:
    """A JSON result, labelled by field.

    ``trusted``: the paths that a system made (ids, timestamps, authenticated senders, balances,
    own contacts), each with its whole subtree. Every other field holds other people's words and
    is untrusted; so is the whole of a result that is no JSON.
    Raises ``ToolError`` where a path cannot be read.
    """

    trusted: frozenset[str]

    def __post_init__(self) -> None:
        for path in self.trusted:
            path_steps(path)


@dataclass(frozen=True, slots=True)
class ReadersIn:
    """Who may see a record of a result stands in the record itself, at ``path``.

    A record is an item of the outermost list on the path, or the whole result where there is none:
    with ``$.messages[*].participants`` each message may be seen by its own participants.
    Raises ``ToolError`` where the path cannot be read.
    """

    path: str

    def __post_init__(self) -> None:
        path_steps(self.path)


ResultReaders = Literal["anyone", "user"] | ReadersIn
"""Who may see a result: anybody (the public web), the user alone, or who stands in its records."""
