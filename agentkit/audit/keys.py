"""The log's Ed25519 key: an owner-only file beside the log, and its public half as one line.

What is covered: the key file is created with mode 0600 on first use, refused where others may
read it, and never replaced; whoever verifies needs the public line only.

What is not covered: an attacker who has both the key file and the log can rewrite whatever nobody
outside has seen. Keep the key on another volume or mount (``key=``), and hand checkpoints to
somebody else: those cannot be rewritten.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from agentkit.audit.key_file import (
    ReadableByOthers,
    key_of_pem,
    pem_of_key,
    read_key_file,
    write_key_file,
)
from agentkit.errors import AuditError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["VerifierKey", "create_key", "load_key"]

_ED25519 = b"\x01"  # the signature type of the signed-note specification
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A name and a public key, printed as ``name+hash+base64`` (C2SP signed-note, "vkey")."""

    name: str
    public: bytes

    def __str__(self) -> str:
        key = base64.b64encode(_ED25519 + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{key}"

    @property
    def key_id(self) -> bytes:
        """The four bytes that begin each signature by this key."""
        named = self.name.encode() + b"\n" + _ED25519 + self.public
        return hashlib.sha256(named).digest()[:4]

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Return the key that a line spells; ValueError where it spells none."""
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        raw = strict_base64(encoded)
        key = cls(name, raw[1:])
        if raw[:1] != _ED25519 or len(key.public) != _KEY_BYTES or not is_key_name(name):
            raise ValueError("not an Ed25519 verifier key")
        if key.key_id.hex() != key_id:
            raise ValueError("the verifier key's hash does not fit its name and key")
        return key

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Tell whether ``signature`` (64 bytes) over ``message`` is by this key."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


def strict_base64(text: str) -> bytes:
    """Decode base64 that has exactly one spelling; ValueError where there is another."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    if base64.b64encode(data).decode() != text:
        raise ValueError("malformed base64 in a key or checkpoint")
    return data


def is_key_name(name: str) -> bool:
    """Tell whether ``name`` may name a key: not empty, no spaces, no plus."""
    return bool(name) and "+" not in name and not any(letter.isspace() for letter in name)


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """Return the 32 bytes of the public half."""
    return key.public_key().public_bytes_raw()


def create_key(path: Path) -> Ed25519PrivateKey:
    """Make a key, write it to ``path`` (owner only, on disk when this returns) and return it."""
    key = Ed25519PrivateKey.generate()
    try:
        write_key_file(path, pem_of_key(key))
    except OSError as error:
        raise AuditError(
            f"the audit key cannot be created: {error.strerror}",
            cure="choose a key path that this user may write",
            place=str(path),
        ) from error
    return key


def load_key(path: Path) -> Ed25519PrivateKey:
    """Return the key in ``path``. Raises ``AuditError`` where it is unreadable or not private."""
    try:
        pem = read_key_file(path)
    except OSError as error:
        raise AuditError(
            f"the audit key cannot be read: {error.strerror}",
            cure="restore the key file that this log began with, or begin a new log",
            place=str(path),
        ) from error
    except ReadableByOthers:
        raise AuditError(
            "others may read the audit key",
            cure=f"chmod 600 {path}; if others may have read it, begin a new log with a new key",
            place=str(path),
        ) from None
    try:
        key = key_of_pem(pem)
    except ValueError as error:
        raise AuditError(
            "the audit key file holds no readable private key",
            cure="restore the key file that this log began with, or begin a new log",
            place=str(path),
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise AuditError(
            "the audit key is not an Ed25519 key",
            cure="name another file: it is created on first use",
            place=str(path),
        )
    return key
