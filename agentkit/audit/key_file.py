"""Ed25519 private keys in owner-only files: what the log's key and an approver's have in common.

What is covered: the file is made with mode 0600, on disk when the write returns, never replaced,
and refused where others may read it. What goes wrong is told by the callers, who know the cure.

What is not covered: the file is not encrypted; whoever can read it has the key.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from agentkit.audit.disk import make_directory, sync_directory, write_new

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

__all__ = ["ReadableByOthers", "key_of_pem", "pem_of_key", "read_key_file", "write_key_file"]


class ReadableByOthers(Exception):
    """The group or anybody may read (or write, or run) the file."""


def pem_of_key(key: Ed25519PrivateKey) -> bytes:
    """Return the key as PKCS #8 in PEM, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def key_of_pem(pem: bytes) -> PrivateKeyTypes:
    """Return the private key, of whatever kind; ValueError where there is none to be read."""
    try:
        return serialization.load_pem_private_key(pem, password=None)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("no readable private key") from error


def write_key_file(path: Path, content: bytes) -> None:
    """Write a new file, owner only, making its folder. Raises ``OSError``."""
    make_directory(path.parent)
    write_new(path, content)
    sync_directory(path.parent)


def read_key_file(path: Path) -> bytes:
    """Return the file's content. Raises ``OSError`` and ``ReadableByOthers``."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123  # the mode of the opened file counts
        mode = os.fstat(descriptor).st_mode
        content = file.read()
    if stat.S_IMODE(mode) & 0o077:
        raise ReadableByOthers
    return content
