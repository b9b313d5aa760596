"""Signed checkpoints: the tree's size and root, signed, as a small text that travels.

The format is C2SP tlog-checkpoint over signed-note, which witnesses and verifiers of transparency
logs read::

    agentkit-audit/5f0c…           the log's name
    1042                           how many records
    dY8…=                          base64 of the RFC 6962 root

    — agentkit-audit/5f0c… 3q2+7w…  base64 of key id and Ed25519 signature

Whoever holds one and the public key can tell, later and elsewhere, whether the log still is the
one that was signed. Other signature lines (witnesses) are kept and ignored.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentkit.audit.keys import strict_base64

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from agentkit.audit.keys import VerifierKey

__all__ = ["Checkpoint", "open_checkpoint", "open_note", "sign_checkpoint", "sign_note"]

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_ROOT_BYTES = 32
_SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: ``origin`` names the log, ``root`` is 32 bytes over ``size`` leaves."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return the text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def sign_note(text: str, name: str, key: Ed25519PrivateKey, key_id: bytes) -> str:
    """Return ``text``, which ends with a newline, as a note with one signature."""
    signature = base64.b64encode(key_id + key.sign(text.encode())).decode()
    return f"{text}\n— {name} {signature}\n"


def open_note(note: str, key: VerifierKey) -> str:
    """Return the signed text of ``note``; ValueError where ``key`` did not sign it."""
    text, separator, signatures = note.rpartition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise ValueError("not a signed note")
    text += "\n"
    for line in signatures[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if dash != "—" or not name or not encoded:
            raise ValueError("a malformed signature line")
        blob = strict_base64(encoded)
        if name == key.name and blob[:4] == key.key_id:
            if len(blob) == 4 + _SIGNATURE_BYTES and key.verifies(blob[4:], text.encode()):
                return text
            raise ValueError(f"the signature by {name} is wrong")
    raise ValueError(f"no signature by {key.name}")


def sign_checkpoint(checkpoint: Checkpoint, key: Ed25519PrivateKey, public: VerifierKey) -> str:
    """Return ``checkpoint`` as a note, signed with ``key``, whose public half is ``public``."""
    return sign_note(checkpoint.text(), public.name, key, public.key_id)


def open_checkpoint(note: str, key: VerifierKey) -> Checkpoint:
    """Return the checkpoint that ``note`` carries; ValueError where it is malformed, or not signed
    by ``key``, or of another log than the one that the key is named after.
    """
    try:
        lines = open_note(note, key).split("\n")
    except UnicodeEncodeError:
        raise ValueError("not Unicode text") from None
    if len(lines) < 4 or not all(lines[:-1]):  # noqa: PLR2004  # three lines and the final newline
        raise ValueError("not a checkpoint")
    origin, size, root = lines[:3]
    if origin != key.name:
        raise ValueError(f"a checkpoint of another log, {origin[:80]!r}")
    if not _SIZE.fullmatch(size):
        raise ValueError("not a checkpoint: malformed size")
    raw = strict_base64(root)
    if len(raw) != _ROOT_BYTES:
        raise ValueError("not a checkpoint: malformed root")
    return Checkpoint(origin, int(size), raw)
