"""One record of the log: the canonical bytes that are hashed, and what they say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from agentkit.audit.canonical import canonical_json, parse_canonical
from agentkit.audit.event import EventKind
from agentkit.audit.frames import MAX_PAYLOAD
from agentkit.audit.merkle import leaf_hash
from agentkit.audit.sealed import Sealed, seal
from agentkit.errors import AuditError

if TYPE_CHECKING:
    from agentkit.audit.event import AuditEvent
    from agentkit.messages import JsonObject

__all__ = ["Draft", "Record", "RecordData", "parse_record"]

_HASH = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_LAST_TURN = 2**53 - 1
_FIXED_FIELDS = 512  # all that is not counted in Draft.of, generously
_KEYS = frozenset(
    ("body", "call", "commitments", "index", "kind", "prev", "run", "time", "turn"),
)


class RecordData(TypedDict):
    """A record as plain JSON data, for whoever prints or exports it."""

    index: int
    time: str
    kind: str
    run_id: str
    turn: int
    call_id: str
    body: JsonObject
    commitments: dict[str, str]
    prev_hash: str
    leaf_hash: str


@dataclass(frozen=True, slots=True)
class Record:
    """What one record says.

    ``index``: its place, dense from 0; the only order that counts. ``time``: the writer's UTC
    clock, which may step back. ``commitments``: name → hex SHA-256 of salt and canonical value.
    ``prev_hash``: leaf hash of the record before, or the digest of the segment's header.
    """

    index: int
    time: str
    kind: EventKind
    run_id: str
    turn: int
    call_id: str
    body: JsonObject
    commitments: Mapping[str, str]
    prev_hash: str
    leaf_hash: str

    def payload(self) -> bytes:
        """Return the canonical bytes that ``leaf_hash`` is the RFC 6962 hash of."""
        return canonical_json(
            {
                "body": self.body,
                "call": self.call_id,
                "commitments": self.commitments,
                "index": self.index,
                "kind": self.kind.value,
                "prev": self.prev_hash,
                "run": self.run_id,
                "time": self.time,
                "turn": self.turn,
            }
        )

    def as_dict(self) -> RecordData:
        """Return the record as plain JSON data."""
        return {
            "index": self.index,
            "time": self.time,
            "kind": self.kind.value,
            "run_id": self.run_id,
            "turn": self.turn,
            "call_id": self.call_id,
            "body": self.body,
            "commitments": dict(self.commitments),
            "prev_hash": self.prev_hash,
            "leaf_hash": self.leaf_hash,
        }


@dataclass(frozen=True, slots=True)
class Draft:
    """An event, spelled already but for its place in the chain, so that the one thread that
    writes has little left to do and nothing left to refuse.
    """

    kind: EventKind
    body: bytes
    call_id: bytes
    run_id: bytes
    commitments: bytes
    turn: int
    sealed: tuple[Sealed, ...]

    @classmethod
    def of(cls, event: AuditEvent) -> Draft:
        """Spell ``event`` and seal its sensitive values.

        Raises ``AuditError`` where it cannot be recorded without loss.
        """
        _check_types(event)
        sealed = {name: seal(value) for name, value in event.sensitive.items()}
        draft = cls(
            EventKind(event.kind),
            canonical_json(event.body, depth=1),
            canonical_json(event.call_id),
            canonical_json(event.run_id),
            canonical_json({name: value.commitment for name, value in sealed.items()}, depth=1),
            event.turn,
            tuple(sealed.values()),
        )
        size = len(draft.body) + len(draft.call_id) + len(draft.run_id) + len(draft.commitments)
        if size > MAX_PAYLOAD - _FIXED_FIELDS:
            raise AuditError(
                f"an event of {size} bytes is too large for one record",
                cure="record a digest of large content, and keep the content elsewhere",
            )
        return draft

    def spell(self, index: int, prev_hash: str, time: str) -> bytes:
        """Return the canonical bytes of the record: RFC 8785, keys in ascending order."""
        return b"".join(
            (
                b'{"body":',
                self.body,
                b',"call":',
                self.call_id,
                b',"commitments":',
                self.commitments,
                f',"index":{index},"kind":"{self.kind.value}","prev":"{prev_hash}","run":'.encode(),
                self.run_id,
                f',"time":"{time}","turn":{self.turn}}}'.encode(),
            )
        )


def _check_types(event: AuditEvent) -> None:
    """Refuse what could be written but not read back, whatever the type checker was told."""
    right = {
        "kind": event.kind in EventKind.__members__.values(),
        "run_id": isinstance(event.run_id, str),
        "turn": type(event.turn) is int and 0 <= event.turn <= _LAST_TURN,
        "call_id": isinstance(event.call_id, str),
        "body": isinstance(event.body, Mapping),
        "sensitive": isinstance(event.sensitive, Mapping),
    }
    wrong = [name for name, fits in right.items() if not fits]
    if wrong:
        raise AuditError(
            f"an event's {wrong[0]} cannot be recorded",
            cure="see AuditEvent for the types; turns are counted from 0",
        )


def parse_record(payload: bytes) -> Record:
    """Return what ``payload`` says; ValueError, saying what is wrong, where it is no record."""
    value = parse_canonical(payload)
    if not isinstance(value, dict) or value.keys() != _KEYS:
        raise ValueError("not the fields of a record")
    body, commitments = value["body"], value["commitments"]
    if not isinstance(body, dict) or not isinstance(commitments, dict):
        raise ValueError("body or commitments are no objects")  # noqa: TRY004  # content, not a programming error
    sealed: dict[str, str] = {}
    for name, commitment in commitments.items():
        sealed[name] = _text(commitment, _HASH, "commitment")
    try:
        kind = EventKind(value["kind"])  # type: ignore[arg-type]  # any JSON value may stand here
    except ValueError:
        raise ValueError("an unknown kind of event") from None
    return Record(
        index=_number(value["index"], "index"),
        time=_text(value["time"], _TIME, "time"),
        kind=kind,
        run_id=_text(value["run"], None, "run"),
        turn=_number(value["turn"], "turn"),
        call_id=_text(value["call"], None, "call"),
        body=body,
        commitments=sealed,
        prev_hash=_text(value["prev"], _HASH, "prev"),
        leaf_hash=leaf_hash(payload).hex(),
    )


def _text(value: object, shape: re.Pattern[str] | None, name: str) -> str:
    if not isinstance(value, str) or (shape is not None and not shape.fullmatch(value)):
        raise ValueError(f"field {name} is malformed")
    return value


def _number(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"field {name} is malformed")
    return value
