"""Replacing found passages: one rule for every detector, so that redactions can be merged.

Characters that nobody sees (categories ``hidden_text.*``) are removed; anything else becomes
``[redacted: category]``, so that a reader and the model know that something stood there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.guards.verdict import Span

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["merge_spans", "redact", "spans_fit"]

_REMOVED_PREFIX = "hidden_text."


def spans_fit(text: str, spans: Iterable[Span]) -> bool:
    """Return whether every span is a non-empty passage of ``text``."""
    return all(0 <= span.start < span.end <= len(text) for span in spans)


def merge_spans(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return disjoint spans in order, covering exactly what ``spans`` cover.

    Overlapping spans become one, of the category of the earliest and longest that is not merely
    hidden: a key with a zero-width space inside is a key.
    """
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end, span.category)):
        if not merged or span.start >= merged[-1].end:
            merged.append(span)
            continue
        last = merged[-1]
        category = span.category if _is_removed(last) else last.category
        merged[-1] = Span(last.start, max(last.end, span.end), category)
    return tuple(merged)


def redact(text: str, spans: Iterable[Span]) -> str:
    """Return ``text`` with every span replaced; offsets refer to ``text``."""
    pieces: list[str] = []
    position = 0
    for span in merge_spans(spans):
        pieces.append(text[position : span.start])
        if not _is_removed(span):
            pieces.append(f"[redacted: {span.category}]")
        position = span.end
    pieces.append(text[position:])
    return "".join(pieces)


def _is_removed(span: Span) -> bool:
    return span.category.startswith(_REMOVED_PREFIX)
