"""A conversation prepared for looking values up, part by part, each part once.

Looking one value up costs a search in each part's folded text, which is linear in the length of
the conversation; typed values are scanned for once a part, when the first such value is looked up.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from agentkit.labels import join_all
from agentkit.planner.provenance.fold import fold, stands_alone
from agentkit.planner.provenance.passages import Passage, passages_of
from agentkit.planner.provenance.readings import SCANNERS, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentkit.labels import Label
    from agentkit.messages import Message, Part

__all__ = ["ConversationIndex", "PassageGroup", "PreparedPart"]

# Parts of conversations that are no longer looked at are let go beyond this many.
_KEPT_PARTS = 4096


class PassageGroup:
    """The trusted or the untrusted passages of one part."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = passages
        self._folded: str | None = None
        self._starts: list[int] = []
        self._typed: dict[Kind, dict[str, Passage]] = {}

    def find_words(self, folded: str) -> Passage | None:
        """Return the first passage in which the folded words stand by themselves."""
        if not self.passages:
            return None
        text = self._text()
        at = text.find(folded)
        while at >= 0:
            end = at + len(folded)
            if stands_alone(text, at, end):
                number = bisect_right(self._starts, at) - 1
                passage = self.passages[number]
                if not passage.whole or self._covers(number, at, end):
                    return passage
            at = text.find(folded, at + 1)
        return None

    def find_typed(self, kind: Kind, spelling: str) -> Passage | None:
        """Return the first passage that holds a typed value of this spelling."""
        return self._values(kind).get(spelling)

    def spellings(self, kind: Kind) -> Iterator[str]:
        """Yield the spelling of each typed value of one kind."""
        yield from self._values(kind)

    def _values(self, kind: Kind) -> dict[str, Passage]:
        found = self._typed.get(kind)
        if found is None:
            found = {}
            for passage in self.passages:
                for spelling, _, _ in SCANNERS[kind](passage.text):
                    found.setdefault(spelling, passage)
            self._typed[kind] = found
        return found

    def _text(self) -> str:
        if self._folded is None:
            pieces = [fold(passage.text) for passage in self.passages]
            at = 0
            for piece in pieces:
                self._starts.append(at)
                at += len(piece) + 1
            self._folded = "\n".join(pieces)  # folded text holds no line break of its own
        return self._folded

    def _covers(self, number: int, start: int, end: int) -> bool:
        last = number + 1 == len(self._starts)
        whole_end = len(self._text()) if last else self._starts[number + 1] - 1
        return start == self._starts[number] and end == whole_end


class PreparedPart:
    """One part's passages, the trusted ones apart from the others."""

    def __init__(self, part: Part) -> None:
        self.part = part
        passages = tuple(passages_of(part))
        self.trusted = PassageGroup([item for item in passages if item.label.is_trusted])
        self.untrusted = PassageGroup([item for item in passages if not item.label.is_trusted])


class ConversationIndex:
    """Prepared parts, kept from call to call: a part never changes once it is said."""

    def __init__(self) -> None:
        self._parts: dict[int, PreparedPart] = {}
        self._joined: tuple[list[PreparedPart], Label] = ([], join_all([]))

    def prepare(self, conversation: Sequence[Message]) -> list[PreparedPart]:
        """Return the prepared parts of a conversation, in order."""
        prepared = []
        for message in conversation:
            for part in message.parts:
                known = self._parts.get(id(part))
                if known is None or known.part is not part:
                    known = self._parts[id(part)] = PreparedPart(part)
                prepared.append(known)
        if len(self._parts) > max(_KEPT_PARTS, 2 * len(prepared)):
            self._parts = {id(item.part): item for item in prepared}
        return prepared

    def join(self, prepared: Sequence[PreparedPart]) -> Label:
        """Return the join over all prepared parts; only what was added since the last is joined."""
        known, label = self._joined
        count = len(known)
        grown = 0 < count <= len(prepared) and all(
            one is other for one, other in zip(known, prepared, strict=False)
        )
        added = prepared[count:] if grown else prepared
        label = join_all([*([label] if grown else []), *(item.part.label for item in added)])
        self._joined = (list(prepared), label)
        return label
