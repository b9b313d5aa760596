"""Where a value came from, and who may see it.

Every part of every message carries a ``Label``. Labels only ever get worse by ``join``: the result
of combining values is as untrusted as the least trusted of them, readable by those who may read
all of them, and names all of their sources (the lattice of FIDES, arXiv 2505.23643).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Integrity", "Label", "Source", "SourceKind", "join_all"]


class Integrity(StrEnum):
    """May this content steer the assistant?"""

    TRUSTED = "trusted"
    UNTRUSTED = "untrusted"


class SourceKind(StrEnum):
    """What a value came from."""

    OPERATOR = "operator"  # instructions and configuration in agent.yaml or code
    USER = "user"  # the user's own words in a turn
    MODEL = "model"  # written by the model
    TOOL = "tool"  # returned by a tool call
    DOCUMENT = "document"  # a passage of a document or a frame of a video


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """One origin of a value.

    ``identifier``: user turn id, tool call id, document uri or model id. ``locator``: the place
    inside it (``page 3``, ``bytes 120-480``, ``00:01:12.5``), empty for the whole. ``sha256``: hex
    digest of the origin's bytes, empty where there are none.
    """

    kind: SourceKind
    identifier: str
    locator: str = ""
    sha256: str = ""

    def __str__(self) -> str:
        where = f" ({self.locator})" if self.locator else ""
        return f"{self.kind}:{self.identifier}{where}"


@dataclass(frozen=True, slots=True)
class Label:
    """Integrity, readers and sources of one value.

    ``readers``: principals who may see the value; ``None`` means anybody.
    """

    integrity: Integrity
    readers: frozenset[str] | None = None
    sources: tuple[Source, ...] = ()

    @classmethod
    def trusted(cls, kind: SourceKind, identifier: str) -> Label:
        """Return a label of trusted content from one source."""
        return cls(Integrity.TRUSTED, sources=(Source(kind, identifier),))

    @classmethod
    def untrusted(cls, kind: SourceKind, identifier: str) -> Label:
        """Return a label of untrusted content from one source."""
        return cls(Integrity.UNTRUSTED, sources=(Source(kind, identifier),))

    @property
    def is_trusted(self) -> bool:
        """Whether the content may steer the assistant."""
        return self.integrity is Integrity.TRUSTED

    def join(self, other: Label) -> Label:
        """Return the label of a value made from a value of this label and one of ``other``."""
        trusted = self.is_trusted and other.is_trusted
        if self.readers is None:
            readers = other.readers
        elif other.readers is None:
            readers = self.readers
        else:
            readers = self.readers & other.readers
        return Label(
            Integrity.TRUSTED if trusted else Integrity.UNTRUSTED,
            readers,
            tuple(sorted({*self.sources, *other.sources}, key=_order)),
        )


def join_all(labels: Iterable[Label]) -> Label:
    """Join many labels; no label at all is untrusted, for what has no known origin is not."""
    found = list({id(label): label for label in labels}.values())
    if len(found) <= 1:
        return found[0] if found else Label(Integrity.UNTRUSTED)
    limited = [label.readers for label in found if label.readers is not None]
    # Labels of one conversation share most of their sources, as objects: those are hashed once.
    sources = set({id(source): source for label in found for source in label.sources}.values())
    return Label(
        Integrity.TRUSTED if all(label.is_trusted for label in found) else Integrity.UNTRUSTED,
        frozenset.intersection(*limited) if limited else None,
        tuple(sorted(sources, key=_order)),
    )


def _order(source: Source) -> tuple[str, str, str, str]:
    return source.kind.value, source.identifier, source.locator, source.sha256
