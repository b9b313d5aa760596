"""A decision as a signed statement: everything it is bound to stands in what is signed.

The statement is canonical JSON (RFC 8785) behind a line that names its format, so that a signature
for anything else (an audit checkpoint, a later format) never fits it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, cast

from agentkit.audit import canonical_json, digest
from agentkit.audit.canonical import parse_canonical
from agentkit.planner.approvals.binding import Binding

if TYPE_CHECKING:
    from agentkit.audit.keys import VerifierKey
    from agentkit.messages import JsonObject, JsonValue
    from agentkit.planner.approvals.keys import ApproverKey

__all__ = ["SignedStatement", "Statement", "Word"]

Word = Literal["approve", "deny", "change"]

_HEAD = b"agentkit-approval/1\n"
_BINDING = ("tool", "arguments_sha256", "run_id", "call_id", "policy_sha256")


@dataclass(frozen=True, slots=True)
class Statement:
    """One approver's word on one request; times are milliseconds since 1970.

    ``changed``: with ``change``, the arguments to propose instead.
    """

    request_id: str
    binding: Binding
    word: Word
    approver: str
    issued_ms: int
    expires_ms: int
    comment: str = ""
    changed: JsonObject | None = None

    @property
    def message(self) -> bytes:
        """The bytes that are signed."""
        binding = self.binding
        return _HEAD + canonical_json(
            {
                **{name: getattr(binding, name) for name in _BINDING},
                "request_id": self.request_id,
                "word": self.word,
                "approver": self.approver,
                "issued_ms": self.issued_ms,
                "expires_ms": self.expires_ms,
                "comment": self.comment,
                "changed": self.changed,
            }
        )

    @classmethod
    def parse(cls, message: bytes) -> Self:
        """Return the statement that ``message`` spells; ValueError where it spells none."""
        if not message.startswith(_HEAD):
            raise ValueError("not an approval statement")
        found = parse_canonical(message[len(_HEAD) :])
        if not isinstance(found, dict):
            raise ValueError("not an approval statement")  # noqa: TRY004 - content, not a call
        texts = {name: _text(found, name) for name in (*_BINDING, "request_id", "approver")}
        word = _text(found, "word")
        changed = found.get("changed")
        if word not in {"approve", "deny", "change"} or isinstance(changed, dict) != (
            word == "change"
        ):
            raise ValueError("a statement with an unknown word")
        statement = cls(
            texts["request_id"],
            Binding(*(texts[name] for name in _BINDING)),
            cast("Word", word),
            texts["approver"],
            _number(found, "issued_ms"),
            _number(found, "expires_ms"),
            _text(found, "comment"),
            changed if isinstance(changed, dict) else None,
        )
        if statement.message != message:
            raise ValueError("a statement with unknown fields")
        return statement

    def sign(self, key: ApproverKey) -> SignedStatement:
        """Return the statement with ``key``'s signature."""
        message = self.message
        return SignedStatement(message, key.private.sign(message))


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """A statement's bytes and the Ed25519 signature (64 bytes) over them."""

    message: bytes
    signature: bytes

    @property
    def sha256(self) -> str:
        """The statement's digest, as the audit log names it."""
        return digest([self.message.hex(), self.signature.hex()])

    def verified(self, key: VerifierKey) -> Statement:
        """Return the statement if ``key`` signed it in its own name; ValueError otherwise."""
        statement = Statement.parse(self.message)
        if statement.approver != key.name or not key.verifies(self.signature, self.message):
            raise ValueError("the signature does not fit the statement")
        return statement


def _text(found: JsonObject, name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str):
        raise ValueError(f"a statement without {name}")  # noqa: TRY004 - content, not a call
    return value


def _number(found: JsonObject, name: str) -> int:
    value: JsonValue = found.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"a statement without {name}")  # noqa: TRY004 - content, not a call
    return value
