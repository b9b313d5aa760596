"""Where the values of a proposed call came from.

Each leaf of the arguments is looked up in the conversation: first in what is trusted (the user's
own words, the operator's instructions, fields that a system made), then in what is not. It is
looked up as it is, then by its typed readings: a number, a date, a time, an address, an account.

What is covered: whole values in any spelling that ``fold`` and the readings know. A value that the
model made itself is clean only while nothing untrusted stands in the conversation; after that, any
value which is not found in trusted content is taken to be influenced. Short and common words vouch
for nothing, unless they are a trusted field whose name the parameter bears (``event_id`` and
``id``); a short number also where it stands in the user's own words. A part of a value vouches for
nothing, except a date and a time of day written together, each of which must be found.

What is not covered: in which role the user named a value (a number from the user's words may
stand where another number was meant); what the user pastes counts as the user's own words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentkit.labels import Label, SourceKind, join_all
from agentkit.messages import ToolCallPart
from agentkit.planner.provenance.fold import fold, is_distinctive
from agentkit.planner.provenance.index import ConversationIndex
from agentkit.planner.provenance.readings import Kind, read_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agentkit.messages import JsonValue, Message
    from agentkit.planner.provenance.index import PreparedPart
    from agentkit.planner.provenance.passages import Passage
    from agentkit.planner.provenance.readings import Reading

__all__ = ["Origin", "Tracer", "conversation_label", "leaves", "schema_names", "trace"]

_SHORT_NUMBER = 3
_SHORT_FIELD = 40


@dataclass(frozen=True, slots=True)
class Origin:
    """One leaf of a call's arguments: ``path`` (``$.to[0]``), the ``parameter`` it belongs to, its
    value as text, and its label.

    ``passage``: where it was found; None where it was found nowhere, and is the model's own.
    """

    path: str
    parameter: str
    value: str
    label: Label
    passage: Passage | None = None

    @property
    def found(self) -> bool:
        """Whether the value was found in the conversation, rather than made by the model."""
        return self.passage is not None

    @property
    def is_users(self) -> bool:
        """Whether the value stands in the user's own words or the operator's."""
        return self.found and _is_spoken(self.label, SourceKind.USER, SourceKind.OPERATOR)


def trace(
    call: ToolCallPart, conversation: Sequence[Message], *, named: frozenset[str]
) -> tuple[Origin, ...]:
    """Return the origin of each leaf of the call's arguments, in order.

    ``named``: what the tool's schema declares (``schema_names``); the name of any other argument,
    and of any other member of one, is a leaf of its own.
    """
    return Tracer(conversation, ConversationIndex()).trace(call, named=named)


def conversation_label(conversation: Sequence[Message]) -> Label:
    """Return the join over all a model has read: the label of what it writes next."""
    return join_all(part.label for message in conversation for part in message.parts)


def leaves(
    value: JsonValue, path: str = "$", *, named: frozenset[str] | None = None
) -> Iterator[tuple[str, JsonValue]]:
    """Yield ``(path, value)`` of each scalar in a JSON value but null, in order.

    With ``named``, the name of a member that is not in it is yielded too: where it was not
    declared, whoever wrote the call chose it.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            if named is not None and key not in named:
                yield f"{path}.{key}", key
            yield from leaves(item, f"{path}.{key}", named=named)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}[{index}]", named=named)
    elif value is not None:
        yield path, value


def schema_names(schema: JsonValue) -> frozenset[str]:
    """Return every member's name that a JSON Schema declares, at any depth."""
    names: set[str] = set()
    waiting = [schema]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            properties = item.get("properties")
            if isinstance(properties, dict):
                names |= properties.keys()
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return frozenset(names)


class Tracer:
    """Looks values up in one conversation."""

    def __init__(self, conversation: Sequence[Message], index: ConversationIndex) -> None:
        self.parts: list[PreparedPart] = index.prepare(conversation)
        self.influenced = index.join(self.parts)
        self._trusted = [part for part in self.parts if part.trusted.passages]
        self._untrusted = [part for part in self.parts if part.untrusted.passages]
        self._users = [part for part in self._trusted if _is_users(part.part.label)]
        self.calls = {
            item.part.call_id: item.part
            for item in self.parts
            if isinstance(item.part, ToolCallPart)
        }

    def trace(self, call: ToolCallPart, *, named: frozenset[str]) -> tuple[Origin, ...]:
        """Return the origin of each leaf of the call's arguments, in order; see ``trace``."""
        return tuple(
            self.origin(path, parameter, value)
            for parameter, argument in call.arguments.items()
            for path, value in leaves({parameter: argument}, named=named)
        )

    def origin(self, path: str, parameter: str, value: JsonValue) -> Origin:
        """Return the origin of one scalar of a parameter's argument."""
        shown = value if isinstance(value, str) else str(value)
        field = path.rpartition(".")[2].split("[")[0]
        readings = read_value(value)
        words = _words(value, readings)
        found = self._vouched(value, words, readings, field)
        if found is not None:
            label = join_all(item.label for item in found)
            return Origin(path, parameter, shown, label, found[0])
        seen = self._seen(words, readings)
        if seen is not None:
            return Origin(path, parameter, shown, seen.label, seen)
        return Origin(path, parameter, shown, self.influenced)

    def typed_origin(
        self, path: str, parameter: str, written: str, kind: Kind, spellings: Sequence[str]
    ) -> Origin:
        """Return the origin of a typed value that stands inside an argument's text."""
        for spelling in spellings:
            passage = self._typed(kind, spelling, "")
            if passage is not None:
                return Origin(path, parameter, written, passage.label, passage)
        for part in self._untrusted:
            for spelling in spellings:
                passage = part.untrusted.find_typed(kind, spelling)
                if passage is not None:
                    return Origin(path, parameter, written, passage.label, passage)
        return Origin(path, parameter, written, self.influenced)

    def users_words(self, text: str) -> bool:
        """Whether the user wrote a text word by word."""
        words = fold(text)
        return is_distinctive(words) and any(
            part.trusted.find_words(words) is not None for part in self._users
        )

    def holding(self, text: str) -> list[Passage]:
        """Return the passages, one a part at most, that hold a text word by word."""
        words = fold(text)
        if not is_distinctive(words):
            return []
        found = (
            part.trusted.find_words(words) or part.untrusted.find_words(words)
            for part in self.parts
        )
        return [passage for passage in found if passage is not None and passage.call_id]

    def user_spellings(self, kind: Kind) -> frozenset[str]:
        """Return the spelling of each typed value of one kind in the user's own words."""
        return frozenset(
            spelling for part in self._users for spelling in part.trusted.spellings(kind)
        )

    def _vouched(
        self, value: JsonValue, words: str, readings: Sequence[Reading], field: str
    ) -> list[Passage] | None:
        """Return the trusted passages that vouch for a value, or None."""
        if words:
            passage = self._first(lambda part: part.trusted.find_words(words))
            if passage is not None:
                return [passage]
        elif isinstance(value, str) and (passage := self._short_field(fold(value), field)):
            return [passage]
        for reading in readings:
            passages = [self._typed(kind, spelling, field) for kind, spelling in reading.needed]
            if all(passage is not None for passage in passages):
                return [passage for passage in passages if passage is not None]
        return None

    def _typed(self, kind: Kind, spelling: str, field: str) -> Passage | None:
        if kind is Kind.NUMBER and _is_short(spelling):
            return self._short_number(spelling, field)
        passage = self._first(lambda part: part.trusted.find_typed(kind, spelling))
        if passage is None and kind is Kind.DATE and not spelling.startswith("--"):
            return self._day_and_year(spelling)
        return passage

    def _day_and_year(self, spelling: str) -> Passage | None:
        """Find a date by its day, where its year stands elsewhere in trusted content."""
        year, day = spelling[:4], f"-{spelling[4:]}"
        passage = self._first(lambda part: part.trusted.find_typed(Kind.DATE, day))
        if passage is None:
            return None
        for part in self._trusted:
            known = part.trusted.spellings(Kind.DATE)
            if part.trusted.find_typed(Kind.NUMBER, year) or any(
                date.startswith(f"{year}-") for date in known
            ):
                return passage
        return None

    def _short_number(self, spelling: str, field: str) -> Passage | None:
        for part in self._trusted:
            passage = part.trusted.find_typed(Kind.NUMBER, spelling)
            if passage is not None and (_is_users(passage.label) or passage.is_computed):
                return passage
        return self._short_field(spelling, field)

    def _short_field(self, folded: str, field: str) -> Passage | None:
        """Return the trusted field that is a short value, and whose name the argument bears."""
        for part in self._trusted:
            for passage in part.trusted.passages:
                if (
                    passage.whole
                    and _bears(field, passage.name)
                    and len(passage.text) <= _SHORT_FIELD
                    and fold(passage.text) == folded
                ):
                    return passage
        return None

    def _seen(self, words: str, readings: Sequence[Reading]) -> Passage | None:
        """Return the untrusted passage that a value came from, for showing."""
        for part in self._untrusted:
            if words and (passage := part.untrusted.find_words(words)):
                return passage
            for reading in readings:
                for kind, spelling in reading.needed:
                    if passage := part.untrusted.find_typed(kind, spelling):
                        return passage
        return None

    def _first(self, find: Callable[[PreparedPart], Passage | None]) -> Passage | None:
        """Return the first passage found, the user's own words before all others."""
        first: Passage | None = None
        for part in self._trusted:
            passage = find(part)
            if passage is None:
                continue
            if _is_users(passage.label):
                return passage
            first = first or passage
        return first


def _words(value: JsonValue, readings: Sequence[Reading]) -> str:
    """Return the words to look a value up by; empty where only its readings will do."""
    if not isinstance(value, str):
        return ""
    if any(kind in {Kind.URL, Kind.NUMBER} for reading in readings for kind, _ in reading.needed):
        return ""  # the path of a URL keeps its case; a number its unit
    words = fold(value)
    return words if is_distinctive(words) else ""


def _is_short(spelling: str) -> bool:
    return sum(character.isdigit() for character in spelling) < _SHORT_NUMBER


def _is_users(label: Label) -> bool:
    return _is_spoken(label, SourceKind.USER)


def _is_spoken(label: Label, *kinds: SourceKind) -> bool:
    return bool(label.sources) and all(source.kind in kinds for source in label.sources)


def _bears(argument: str, field: str) -> bool:
    """Whether an argument bears a field's name: ``event_id`` does for ``id`` and ``event_id``."""
    return bool(field) and (argument == field or argument.endswith(f"_{field}"))
