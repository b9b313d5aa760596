"""The passages of a conversation's parts: pieces of text with one label each.

A part without fields is one passage. A tool result whose fields carry labels of their own is one
passage for each scalar.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentkit.messages import DocumentPagePart, TextPart, ToolResultPart
from agentkit.planner.provenance.scalars import json_scalars, shown_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentkit.labels import Label
    from agentkit.messages import Part

__all__ = ["Passage", "passages_of"]


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of text: ``part.text[start:end]`` of the part it stands in, decoded.

    ``call_id``, ``tool``: whose result it is, empty where it is none. ``path``: the field it is,
    empty for a whole text. ``whole``: only the entire passage, or a typed value in it (a date, a
    number, an address), can be found in it: a field is a value, not a text to pick words from.
    """

    text: str
    label: Label
    start: int
    end: int
    call_id: str = ""
    tool: str = ""
    path: str = ""
    whole: bool = False

    @property
    def name(self) -> str:
        """The name of the field, empty for a whole text."""
        return self.path.rpartition(".")[2].split("[")[0] if "." in self.path else ""

    @property
    def is_computed(self) -> bool:
        """Whether a tool computed it from clean values: such a label names their sources too."""
        return bool(self.call_id) and self.label.is_trusted and len(self.label.sources) > 1


def passages_of(part: Part) -> Iterator[Passage]:
    """Yield the passages of a part, in order; a picture and a proposed call have none."""
    if isinstance(part, TextPart | DocumentPagePart):
        if part.text:
            yield Passage(part.text, part.label, 0, len(part.text))
    elif isinstance(part, ToolResultPart):
        if part.fields:
            yield from _labelled(part)
        else:
            yield from _plain(part)


def _labelled(part: ToolResultPart) -> Iterator[Passage]:
    for item in part.fields:
        written = part.text[item.start : item.end]
        value = json.loads(written) if written.startswith('"') else written
        yield Passage(
            value,
            item.label,
            item.start,
            item.end,
            part.call_id,
            part.name,
            item.path,
            whole=item.label.is_trusted,
        )


def _plain(part: ToolResultPart) -> Iterator[Passage]:
    scalars = json_scalars(part.text) if not part.is_error else None
    if not scalars:
        if part.text:
            yield Passage(part.text, part.label, 0, len(part.text), part.call_id, part.name)
        return
    for scalar in scalars:
        if scalar.value is None or isinstance(scalar.value, bool):
            continue
        yield Passage(
            str(scalar.value),
            part.label,
            scalar.start,
            scalar.end,
            part.call_id,
            part.name,
            shown_path(scalar.steps),
            whole=part.label.is_trusted,
        )
