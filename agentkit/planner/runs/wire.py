"""Values of the journal as JSON, exactly: what is read back equals what was written.

Every value says itself what it is, so labels and types survive: a value of one of the known classes
is ``{"is": "TextPart", "of": {field: value}}``, and so are enums, bytes, tuples, frozen sets and
mappings; lists, texts, numbers, booleans and null are plain. Only the classes listed here are
ever made from a file, and a class that is not listed is refused before it is written.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from agentkit.audit import Receipt
from agentkit.errors import StateError
from agentkit.labels import Integrity, Label, Source, SourceKind
from agentkit.messages import (
    DocumentPagePart,
    ImagePart,
    LabelledField,
    Message,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    VideoFramePart,
)
from agentkit.model.protocol import TokenUsage
from agentkit.planner.answer import Answer
from agentkit.planner.commitment import Commitment, Committed
from agentkit.planner.decision import Decision, Evidence, Outcome, Ruling
from agentkit.planner.output import Citation, Finding
from agentkit.planner.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Admitted",
    "CallOutcome",
    "CallResult",
    "Changed",
    "Promised",
    "Ruled",
    "Started",
    "decode",
    "encode",
]


@dataclass(frozen=True, slots=True)
class Admitted:
    """A text that the guards let across a boundary. ``suspect``: a person had to look at it."""

    text: str
    suspect: bool


@dataclass(frozen=True, slots=True)
class Promised:
    """What the request implies, and the tokens it took to say so."""

    commitment: Commitment
    tokens: int


@dataclass(frozen=True, slots=True)
class Ruled:
    """The gate's ruling over a call, and the policy it rests on."""

    ruling: Ruling
    policy_sha256: str


@dataclass(frozen=True, slots=True)
class Changed:
    """The arguments an approver put in place of a call's own."""

    arguments: dict[str, Any]
    approver: str


@dataclass(frozen=True, slots=True)
class Started:
    """A call is about to run under this policy; from here on its effect may have happened."""

    policy_sha256: str


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """How a call's function ended, and what it returned."""

    status: str
    text: str


@dataclass(frozen=True, slots=True)
class CallResult:
    """What the model is told of a call. ``suspect``: a guard found signs of injection in it.

    ``admitted``: the call as it ran, with those that its program made; empty where it was refused.
    ``note``: what the conversation gets besides, where an approver changed the call.
    """

    part: ToolResultPart
    suspect: bool
    admitted: tuple[ToolCallPart, ...] = ()
    note: Message | None = None


_CLASSES: Mapping[str, type] = {
    known.__name__: known
    for known in (
        Admitted,
        Answer,
        CallOutcome,
        CallResult,
        Changed,
        Citation,
        Commitment,
        Committed,
        Decision,
        DocumentPagePart,
        Evidence,
        Finding,
        ImagePart,
        Label,
        LabelledField,
        Message,
        Promised,
        Receipt,
        Reply,
        Ruled,
        Ruling,
        Source,
        Started,
        TextPart,
        TokenUsage,
        ToolCallPart,
        ToolResultPart,
        VideoFramePart,
    )
}
_ENUMS: Mapping[str, type[Enum]] = {
    known.__name__: known for known in (Integrity, Outcome, SourceKind)
}


def encode(value: object) -> str:
    """Return ``value`` as JSON text. Raises ``StateError`` for what it cannot hold."""
    try:
        return json.dumps(_tagged(value), separators=(",", ":"))
    except RecursionError:
        raise StateError("a value is nested too deeply for the journal") from None


def decode(text: str) -> Any:  # noqa: ANN401 - callers know what they kept
    """Return the value that ``encode`` spelled. Raises ``StateError`` where it spelled none."""
    try:
        return _plain(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StateError(
            f"the journal holds what cannot be read ({type(error).__name__}: {error})",
            cure="resume the run with the version of agentkit that began it",
        ) from error


def _tagged(value: object) -> object:
    if isinstance(value, Enum):
        _known(_ENUMS, type(value))
        return {"is": type(value).__name__, "of": value.value}
    if value is None or type(value) in {bool, int, float, str}:
        return value
    if isinstance(value, list):
        return [_tagged(item) for item in value]
    if isinstance(value, bytes):
        return {"is": "bytes", "of": base64.b64encode(value).decode()}
    if isinstance(value, tuple):
        return {"is": "tuple", "of": [_tagged(item) for item in value]}
    if isinstance(value, frozenset):
        return {"is": "frozenset", "of": [_tagged(item) for item in sorted(value)]}
    if isinstance(value, Mapping):
        return {"is": "dict", "of": [[_tagged(k), _tagged(v)] for k, v in value.items()]}
    if is_dataclass(value) and not isinstance(value, type):
        _known(_CLASSES, type(value))
        held = {field.name: _tagged(getattr(value, field.name)) for field in fields(value)}
        return {"is": type(value).__name__, "of": held}
    raise StateError(f"a {type(value).__name__} cannot be kept in the journal")


def _known(among: Mapping[str, type], found: type) -> None:
    if among.get(found.__name__) is not found:
        raise StateError(f"a {found.__name__} cannot be kept in the journal")


def _plain(value: object) -> Any:  # noqa: ANN401 - any kind of value
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    kind, held = value["is"], value["of"]
    if kind in _BUILT:
        return _BUILT[kind](held)
    if kind in _ENUMS:
        return _ENUMS[kind](held)
    return _CLASSES[kind](**{name: _plain(item) for name, item in held.items()})


_BUILT: Mapping[str, Callable[[Any], object]] = {
    "bytes": lambda held: base64.b64decode(held, validate=True),
    "tuple": lambda held: tuple(_plain(item) for item in held),
    "frozenset": lambda held: frozenset(_plain(item) for item in held),
    "dict": lambda held: {_plain(key): _plain(item) for key, item in held},
}
