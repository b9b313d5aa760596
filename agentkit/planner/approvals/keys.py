"""An approver's Ed25519 key: a private owner-only file, and a public line for the agent's file.

What is covered: the private key is made with mode 0600, never replaced, refused where others may
read it; the public line carries its name and a checksum, so that a mistyped one is noticed.

What is not covered: whoever has the private file is the approver. The file is not encrypted; keep
it on the approver's own machine or a token's file system.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agentkit.audit.key_file import (
    ReadableByOthers,
    key_of_pem,
    pem_of_key,
    read_key_file,
    write_key_file,
)
from agentkit.audit.keys import VerifierKey, is_key_name, public_bytes
from agentkit.errors import ApprovalError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ApproverKey", "TrustedApprover", "parse_approver"]


@dataclass(frozen=True, slots=True)
class TrustedApprover:
    """A public key that the operator trusts, and the person it belongs to."""

    key: VerifierKey
    person: str

    @property
    def who(self) -> str:
        """The person, in one spelling: two keys of one person are one person."""
        return " ".join(self.person.casefold().split())


def parse_approver(line: str, person: str) -> TrustedApprover:
    """Return the approver of a public line; ValueError where it spells no key."""
    return TrustedApprover(VerifierKey.parse(line), person)


@dataclass(frozen=True, slots=True)
class ApproverKey:
    """A named private key. ``name`` is the name that decisions are signed with."""

    name: str
    private: Ed25519PrivateKey

    @classmethod
    def new(cls, name: str) -> Self:
        """Return a fresh key of this process. Raises ``ApprovalError`` for an unusable name."""
        if not is_key_name(name) or not name.isprintable():
            raise ApprovalError(
                f"{name!r} cannot be a key's name",
                cure="use printable characters, without spaces and +",
            )
        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def create(cls, name: str, path: Path) -> Self:
        """Make a key and write it to ``path``, owner only. Raises ``ApprovalError``."""
        key = cls.new(name)
        try:
            write_key_file(path, f"name: {name}\n".encode() + pem_of_key(key.private))
        except FileExistsError as error:
            raise ApprovalError(
                "there is a file already; a key is never replaced",
                cure="name another file with --out",
                place=str(path),
            ) from error
        except OSError as error:
            raise ApprovalError(
                f"the key cannot be written: {error.strerror}",
                cure="name a file in a folder that you may write",
                place=str(path),
            ) from error
        return key

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the key in ``path``. Raises ``ApprovalError``."""
        try:
            content = read_key_file(path)
        except OSError as error:
            raise ApprovalError(
                f"the key cannot be read: {error.strerror}",
                cure="make one with: agentkit approvals keygen --name NAME",
                place=str(path),
            ) from error
        except ReadableByOthers:
            raise ApprovalError(
                "others may read the approver's key",
                cure=f"chmod 600 {path}; if others may have read it, make a new key",
                place=str(path),
            ) from None
        head, _, pem = content.partition(b"\n")
        try:
            name = head.decode().removeprefix("name: ")
            private = key_of_pem(pem)
        except ValueError as error:
            raise _unreadable(path) from error
        if not isinstance(private, Ed25519PrivateKey) or not is_key_name(name):
            raise _unreadable(path)
        return cls(name, private)

    @property
    def verifier(self) -> VerifierKey:
        """The public half; ``str()`` of it is the line for the agent's file."""
        return VerifierKey(self.name, public_bytes(self.private))


def _unreadable(path: Path) -> ApprovalError:
    return ApprovalError(
        "the file holds no approver's key",
        cure="make one with: agentkit approvals keygen --name NAME",
        place=str(path),
    )
