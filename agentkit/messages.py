"""What flows: messages made of typed, labelled parts, and the declarations a model is shown.

All types are frozen. Binary content is carried as bytes, never as a URL that a backend would
fetch by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from agentkit.labels import Label, SourceKind, join_all

__all__ = [
    "DocumentPagePart",
    "FunctionDeclaration",
    "ImagePart",
    "JsonObject",
    "JsonValue",
    "LabelledField",
    "Message",
    "Part",
    "Role",
    "TextPart",
    "ToolCallPart",
    "ToolResultPart",
    "VideoFramePart",
]

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = dict[str, JsonValue]

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class TextPart:
    """A passage of text."""

    text: str
    label: Label


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image. ``data``: the encoded file; ``media_type``: ``image/png``, ``image/jpeg`` ..."""

    data: bytes
    media_type: str
    label: Label


@dataclass(frozen=True, slots=True)
class VideoFramePart:
    """One frame of a video; ``timestamp_s``: seconds from its start."""

    data: bytes
    media_type: str
    timestamp_s: float
    label: Label


@dataclass(frozen=True, slots=True)
class DocumentPagePart:
    """One page of a document: its text and, where it was rendered, its picture as PNG."""

    text: str
    page: int
    label: Label
    image: bytes | None = None


@dataclass(frozen=True, slots=True)
class ToolCallPart:
    """A call that the model proposes. Nothing runs before the gate has decided over it.

    ``call_id`` is unique within a run; ``arguments`` is a JSON object, parsed but not validated.
    """

    call_id: str
    name: str
    arguments: JsonObject
    label: Label


@dataclass(frozen=True, slots=True)
class LabelledField:
    """One scalar inside a tool result: its ``path`` (``$.messages[0].id``), where it stands in the
    result's text (``text[start:end]``, a JSON string with its quotes), and its own label.
    """

    path: str
    start: int
    end: int
    label: Label


@dataclass(frozen=True, slots=True)
class ToolResultPart:
    """What came back for ``call_id``: the tool's output, or why there is none (``is_error``).

    ``label`` joins everything in it; ``fields`` carry labels of their own, in order and without
    overlap. Text outside them has the part's label.
    """

    call_id: str
    name: str
    text: str
    label: Label
    is_error: bool = False
    fields: tuple[LabelledField, ...] = ()


Part = TextPart | ImagePart | VideoFramePart | DocumentPagePart | ToolCallPart | ToolResultPart


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation: who speaks, and its parts in order."""

    role: Role
    parts: tuple[Part, ...]

    @classmethod
    def system(cls, text: str, identifier: str = "instructions") -> Message:
        """Return the operator's instructions as a trusted system message."""
        return cls("system", (TextPart(text, Label.trusted(SourceKind.OPERATOR, identifier)),))

    @classmethod
    def user(cls, text: str, identifier: str = "user") -> Message:
        """Return the user's own words as a trusted user message."""
        return cls("user", (TextPart(text, Label.trusted(SourceKind.USER, identifier)),))

    @classmethod
    def assistant(cls, text: str, label: Label) -> Message:
        """Return an assistant message of one text; ``label`` joins what the model had read."""
        return cls("assistant", (TextPart(text, label),))

    @property
    def text(self) -> str:
        """All text of the message: its text parts, page texts and tool results, joined by lines."""
        return "\n".join(
            part.text
            for part in self.parts
            if isinstance(part, TextPart | DocumentPagePart | ToolResultPart)
        )

    @property
    def calls(self) -> tuple[ToolCallPart, ...]:
        """The tool calls that the message proposes, in order."""
        return tuple(part for part in self.parts if isinstance(part, ToolCallPart))

    @property
    def label(self) -> Label:
        """The join of the labels of all parts."""
        return join_all(part.label for part in self.parts)


@dataclass(frozen=True, slots=True)
class FunctionDeclaration:
    """What a model is told of a tool. ``parameters``: JSON Schema of the arguments object."""

    name: str
    description: str
    parameters: JsonObject
