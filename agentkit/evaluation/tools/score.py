"""What counts as right."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentkit.messages import JsonObject
    from agentkit.model.toolcalls.render import NamedCall

__all__ = ["calls_match", "holds", "states_all"]


def calls_match(expected: Sequence[NamedCall], proposed: Sequence[NamedCall]) -> bool:
    """Whether the same tools are called with the same arguments, in any order; 5 equals 5.0."""
    return sorted(_spelled(call.name, call.arguments) for call in expected) == sorted(
        _spelled(call.name, call.arguments) for call in proposed
    )


def states_all(answer: str, facts: Iterable[str]) -> bool:
    """Whether ``answer`` holds each fact, as a whole word or number."""
    return all(holds(answer, fact) for fact in facts)


def holds(answer: str, fact: str) -> bool:
    """Whether ``fact`` stands in ``answer``, not inside of a longer word or number.

    A number may be written with thousands separators.
    """
    plain = re.sub(r"(?<=\d),(?=\d{3}\b)", "", answer)
    pattern = rf"(?<![\w.])(?<!\d,){re.escape(fact)}(?!\w)(?![.,:]\d)"
    return any(re.search(pattern, text, re.IGNORECASE) for text in (answer, plain))


def _spelled(name: str, arguments: JsonObject) -> str:
    """Spell a call so that equal calls are equal texts."""
    numbers = {
        key: float(value) if isinstance(value, int) and not isinstance(value, bool) else value
        for key, value in arguments.items()
    }
    return f"{name} {json.dumps(numbers, sort_keys=True, ensure_ascii=False)}"
