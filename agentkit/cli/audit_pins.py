"""What an auditor kept elsewhere, a key and checkpoints: read and checked before the log is.

What is mistyped here says nothing of the log, so it never comes out as damage.
"""

from __future__ import annotations

import re
from pathlib import Path

from agentkit.audit.checkpoint import open_checkpoint
from agentkit.audit.keys import VerifierKey
from agentkit.audit.notebook import NOTE_END
from agentkit.errors import AuditError

__all__ = ["read_checkpoint", "read_key"]

_NOTE = re.compile(r"[^\n]+\n[0-9]+\n(?:[^\n]+\n)+\n(?:— [^\n]+\n)+")
_AS_HANDED_OUT = "name the file as it was handed out"


def read_key(given: str) -> VerifierKey:
    """Return the key that ``given`` spells, or the file that it names. Raises ``AuditError``."""
    path = Path(given)
    in_file = path.is_file()
    try:
        return VerifierKey.parse(_read(path).strip() if in_file else given)
    except ValueError as error:
        raise AuditError(
            f"this is no public key of a log: {error}",
            cure="give the line that `agentkit audit verify` shows at key, or a file that holds it",
            place=given,
        ) from error


def read_checkpoint(path: Path, key: VerifierKey | None) -> str:
    """Return the last note in a file of one, or of many as a log keeps them.

    It covers all that the earlier ones cover. Raises ``AuditError`` where it is no checkpoint, or
    is none by ``key``.
    """
    note = _read(path).rstrip().rpartition(NOTE_END)[2].lstrip("\n") + "\n"
    if not _NOTE.fullmatch(note):
        raise AuditError("this is no signed checkpoint", cure=_AS_HANDED_OUT, place=str(path))
    if key is not None:
        try:
            open_checkpoint(note, key)
        except ValueError as error:
            raise AuditError(
                f"the given checkpoint does not fit the given key: {error}",
                cure="give a key and a checkpoint of the same log, unchanged",
                place=str(path),
            ) from error
    return note


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise AuditError(f"cannot be read: {why}", cure=_AS_HANDED_OUT, place=str(path)) from error
