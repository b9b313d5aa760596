"""Whether a declared endorsement vouches for a value, decided from the conversation alone.

What is covered: values that stand in a listing's field, URLs whose host the user wrote, ids of the
one record whose name the user wrote.

What is not covered: whether the listing tool tells the truth; that is the operator's word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentkit.messages import ToolResultPart
from agentkit.planner.provenance.addresses import host_of
from agentkit.planner.provenance.fold import fold, is_distinctive
from agentkit.planner.provenance.readings import Kind, read_value, same_value
from agentkit.planner.provenance.scalars import Scalar, json_scalars, matches
from agentkit.tools.endorsement import HostNamedByUser, ListedBy, RecordNamedByUser
from agentkit.tools.results import path_steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentkit.messages import JsonValue
    from agentkit.planner.provenance import Tracer
    from agentkit.planner.provenance.scalars import Steps
    from agentkit.tools.endorsement import Endorsement

__all__ = ["Vouched", "bears_name", "vouched_by"]


@dataclass(frozen=True, slots=True)
class Vouched:
    """Why a value is acceptable; ``by_user``: because the user named it."""

    reason: str
    by_user: bool


def vouched_by(endorsement: Endorsement, value: JsonValue, tracer: Tracer) -> Vouched | None:
    """Return why ``endorsement`` vouches for ``value``, or None where it does not."""
    match endorsement:
        case ListedBy(tool, field):
            if any(same_value(scalar.value, value) for scalar in _listed(tool, field, tracer)):
                return Vouched(f"listed by {tool} at {field}", by_user=False)
        case HostNamedByUser():
            host = _host(value)
            if host and host in {host_of(url) for url in tracer.user_spellings(Kind.URL)}:
                return Vouched(f"the user named the host {host}", by_user=True)
        case RecordNamedByUser():
            name = _name_by_user(endorsement, value, tracer)
            if name:
                return Vouched(f"the user named the record {name!r}", by_user=True)
    return None


def bears_name(
    endorsement: RecordNamedByUser, value: JsonValue, name: JsonValue, tracer: Tracer
) -> bool:
    """Whether ``value`` is the id of the one listed record that bears ``name``."""
    wanted = fold(str(name))
    ids = [key for key, borne in _records(endorsement, tracer) if fold(borne) == wanted]
    return bool(ids) and all(same_value(key, value) for key in ids)


def _listed(tool: str, field: str, tracer: Tracer) -> Iterator[Scalar]:
    path = path_steps(field)
    for scalars in _results(tool, tracer):
        yield from (scalar for scalar in scalars if matches(scalar.steps, path))


def _results(tool: str, tracer: Tracer) -> Iterator[tuple[Scalar, ...]]:
    for prepared in tracer.parts:
        part = prepared.part
        if isinstance(part, ToolResultPart) and part.name == tool and not part.is_error:
            yield json_scalars(part.text) or ()


def _host(value: JsonValue) -> str:
    """Return the host of a web address without a user's name in it."""
    for reading in read_value(value):
        for kind, spelling in reading.needed:
            if kind is Kind.URL and spelling.startswith(("https://", "http://")):
                return "" if "@" in spelling.split("/")[2] else host_of(spelling)
    return ""


def _name_by_user(endorsement: RecordNamedByUser, value: JsonValue, tracer: Tracer) -> str:
    """Return the name by which the user named the record of this id, or an empty string."""
    named = [
        (key, name)
        for key, name in _records(endorsement, tracer)
        if is_distinctive(fold(name)) and tracer.users_words(name)
    ]
    for key, name in named:
        if not same_value(key, value):
            continue
        # Of two names the user can have meant, the longer is the one they wrote.
        rivals = [other for other, borne in named if fold(name) in fold(borne)]
        if all(same_value(other, value) for other in rivals):
            return name
    return ""


def _records(endorsement: RecordNamedByUser, tracer: Tracer) -> Iterator[tuple[JsonValue, str]]:
    """Yield ``(id, name)`` of each record that the listing tool returned in this run."""
    ids, names = path_steps(endorsement.id_field), path_steps(endorsement.name_field)
    shared = 0
    while shared < min(len(ids), len(names)) and ids[shared] == names[shared]:
        shared += 1
    for scalars in _results(endorsement.tool, tracer):
        keys: dict[Steps, JsonValue] = {}
        for scalar in scalars:
            if matches(scalar.steps, ids):
                keys[scalar.steps[:shared]] = scalar.value
        for scalar in scalars:
            if matches(scalar.steps, names) and scalar.steps[:shared] in keys:
                yield keys[scalar.steps[:shared]], str(scalar.value)
