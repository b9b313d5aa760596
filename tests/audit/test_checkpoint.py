from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agentkit.audit.checkpoint import Checkpoint, open_checkpoint, open_note, sign_checkpoint
from agentkit.audit.keys import VerifierKey, create_key, load_key, public_bytes
from agentkit.audit.merkle import Frontier
from agentkit.errors import AuditError

if TYPE_CHECKING:
    from pathlib import Path

# The example of the signed-note format's first implementation (Go, sumdb/note).
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
GO_NOTE = (
    GO_TEXT + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgK"
    "vqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


@pytest.fixture
def signer() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture
def public(signer: Ed25519PrivateKey) -> VerifierKey:
    return VerifierKey("example.com/log", public_bytes(signer))


def test_a_note_of_another_implementation_opens() -> None:
    key = VerifierKey.parse(GO_KEY)
    assert str(key) == GO_KEY
    assert open_note(GO_NOTE, key) == GO_TEXT


def test_a_checkpoint_comes_back(signer: Ed25519PrivateKey, public: VerifierKey) -> None:
    head = Checkpoint(public.name, 7, Frontier([bytes(32)] * 7).root())
    note = sign_checkpoint(head, signer, public)
    assert note.split("\n")[:2] == ["example.com/log", "7"]
    assert open_checkpoint(note, public) == head
    witnessed = note + GO_NOTE.rpartition("\n\n")[2]
    assert open_checkpoint(witnessed, public) == head


@pytest.mark.parametrize("size", range(8))
def test_no_changed_byte_of_a_checkpoint_opens(
    size: int, signer: Ed25519PrivateKey, public: VerifierKey
) -> None:
    """Eight sizes, for eight last characters, whose spare bits base64 decoders ignore."""
    note = sign_checkpoint(Checkpoint(public.name, size, bytes(32)), signer, public).encode()
    for place in range(len(note)):
        for flip in (1, 2, 4, 0x20, 0x80):
            changed = bytearray(note)
            changed[place] ^= flip
            with pytest.raises(ValueError):  # noqa: PT011  # any reason will do
                open_checkpoint(changed.decode("utf-8", "surrogateescape"), public)


@pytest.mark.parametrize(
    "text",
    [
        "other.com/log\n1\n" + "A" * 43 + "=\n",
        "example.com/log\n01\n" + "A" * 43 + "=\n",
        "example.com/log\n-1\n" + "A" * 43 + "=\n",
        "example.com/log\n1\nAAAA\n",
        "example.com/log\n1\n" + "A" * 42 + "B=\n",
        "example.com/log\n1\n!\n",
        "example.com/log\n1\n",
    ],
)
def test_a_signed_text_that_is_no_checkpoint_of_this_log(
    text: str, signer: Ed25519PrivateKey, public: VerifierKey
) -> None:
    from agentkit.audit.checkpoint import sign_note  # noqa: PLC0415  # used here only

    note = sign_note(text, public.name, signer, public.key_id)
    with pytest.raises(ValueError, match="checkpoint"):
        open_checkpoint(note, public)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "x",
        "a+b",
        "a+00000000+AAAA",
        GO_KEY.replace("c74f20a3", "c74f20a4"),
        GO_KEY.replace("+A", "+B"),
        GO_KEY.replace("PeterNeumann", "Peter Neumann"),
    ],
)
def test_what_is_no_verifier_key(line: str) -> None:
    with pytest.raises(ValueError, match="key"):
        VerifierKey.parse(line)


def test_the_key_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "log.key"
    key = create_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert public_bytes(load_key(path)) == public_bytes(key)
    with pytest.raises(AuditError):
        create_key(path)
    path.chmod(0o640)
    with pytest.raises(AuditError, match="others may read") as caught:
        load_key(path)
    assert "chmod 600" in caught.value.cure


@pytest.mark.parametrize("content", [b"", b"not a key", b"\x00\xff"])
def test_an_unreadable_key_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(AuditError) as caught:
        load_key(path)
    assert caught.value.place == str(path)
    assert caught.value.cure


def test_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  # used here only
    from cryptography.hazmat.primitives.asymmetric import x25519  # noqa: PLC0415

    path = tmp_path / "log.key"
    path.write_bytes(
        x25519.X25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    path.chmod(0o600)
    with pytest.raises(AuditError, match="Ed25519"):
        load_key(path)
    path.unlink()
    with pytest.raises(AuditError):
        load_key(path)
    assert not os.path.lexists(path)
