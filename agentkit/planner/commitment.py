"""What a request implies, fixed before anything untrusted is read.

A ``Commitment`` names the calls that the user's request implies: which tool, on which objects, how
often. It is made from trusted content alone, so nothing that is read later can widen it; an effect
outside it is asked about, however clean its values look.

What is covered: tools, objects (destinations, amounts, ids) and counts; calls that were admitted
use an entry up. An empty commitment covers nothing.

What is not covered: an object that the request leaves open (None) may be any value that passes the
other rules.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from agentkit.planner.provenance.readings import same_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agentkit.messages import JsonObject, JsonValue, ToolCallPart

__all__ = ["Commitment", "Committed"]


@dataclass(frozen=True, slots=True)
class Committed:
    """Calls of one tool that a request implies.

    ``objects``: parameter → the value, or list of values, that the request fixes for it; None or
    absent where the request leaves it open. ``count``: at most so many calls.
    """

    tool: str
    objects: Mapping[str, JsonValue] = field(default_factory=lambda: MappingProxyType({}))
    count: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "objects", MappingProxyType(dict(self.objects)))

    def to_json(self) -> JsonObject:
        """Return the entry as the audit log keeps it."""
        return {"tool": self.tool, "objects": dict(self.objects), "count": self.count}


@dataclass(frozen=True, slots=True)
class Commitment:
    """Everything that a request implies; nothing by default."""

    entries: tuple[Committed, ...] = ()

    def fixed(self, tool: str, parameter: str) -> tuple[JsonValue, ...]:
        """Return the values that the request fixes for a parameter."""
        values: list[JsonValue] = []
        for entry in self.entries:
            if entry.tool == tool:
                values += _values(entry.objects.get(parameter))
        return tuple(values)

    def covers(
        self,
        call: ToolCallPart,
        before: Iterable[ToolCallPart],
        decides: Callable[[str], bool],
        linked: Callable[[str, JsonValue, JsonValue], bool],
    ) -> bool:
        """Whether a call lies within the commitment, after the calls admitted ``before``.

        ``decides(parameter)``: whether the parameter's object counts. ``linked(parameter, value,
        name)``: whether the value is the id of the record that bears the committed name.
        """
        used: Counter[int] = Counter()
        earlier_calls = [one for one in before if one.name == call.name]
        # The entry that fixes most takes a call first, so that an open one is not used up by it.
        order = sorted(
            range(len(self.entries) if earlier_calls else 0),
            key=lambda at: -_fixes(self.entries[at]),
        )
        for earlier in earlier_calls:
            for at in order:
                entry = self.entries[at]
                if used[at] < entry.count and _fits(entry, earlier, decides, linked):
                    used[at] += 1
                    break
        return any(
            used[at] < entry.count and _fits(entry, call, decides, linked)
            for at, entry in enumerate(self.entries)
        )


def _fixes(entry: Committed) -> int:
    return sum(value is not None for value in entry.objects.values())


def _fits(
    entry: Committed,
    call: ToolCallPart,
    decides: Callable[[str], bool],
    linked: Callable[[str, JsonValue, JsonValue], bool],
) -> bool:
    if entry.tool != call.name:
        return False
    for parameter, wanted in entry.objects.items():
        if wanted is None or not decides(parameter):
            continue
        given = _values(call.arguments.get(parameter))
        allowed = _values(wanted)
        if not given or not all(
            any(same_value(value, one) or linked(parameter, value, one) for one in allowed)
            for value in given
        ):
            return False
    return True


def _values(value: JsonValue) -> list[JsonValue]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]
