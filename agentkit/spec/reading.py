"""From a path to the text of an agent.yaml.

What is covered: a missing or unreadable file, more than 1 MiB, anything that is not UTF-8,
control characters, and characters that a reviewer of the file cannot see (bidirectional
overrides, zero-width spaces, Unicode tags), which could hide instructions in plain sight.

What is not covered: look-alike letters (a Cyrillic letter for a Latin one); they are visible text.
"""

from __future__ import annotations

import re
import stat
import unicodedata
from typing import TYPE_CHECKING

from agentkit.errors import SpecError
from agentkit.spec.problems import Problem, SpecProblems

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MAX_BYTES", "decode", "read_bytes"]

MAX_BYTES = 1024 * 1024

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")

# Control characters that YAML forbids; line breaks of which YAML and editors disagree (NEL, LS,
# PS), so that line numbers would be wrong; characters that are invisible and change what is read.
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff"
    "\u2028\u2029\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\U000e0000-\U000e007f]"
)


def read_bytes(path: Path) -> bytes:
    """Return the content of a regular file of at most 1 MiB; SpecError with its cure otherwise."""
    try:
        # stat first: opening a FIFO would wait for a writer
        if not stat.S_ISREG(path.stat().st_mode):
            raise SpecError(
                "this is not a file",
                cure="name the agent.yaml itself, not its folder or a pipe",
                place=str(path),
            )
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SpecError(
            "there is no such file",
            cure="check the path, or create a first agent.yaml with `agentkit init`",
            place=str(path),
        ) from None
    except PermissionError:
        raise SpecError(
            "the file may not be read by this user",
            cure=f"give this user the right to read it: chmod u+r {path}",
            place=str(path),
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        raise SpecError(
            f"the file cannot be read: {getattr(error, 'strerror', None) or error}",
            cure="check the path and the disk",
            place=str(path),
        ) from None
    if len(content) > MAX_BYTES:
        raise SpecError(
            f"the file is larger than {MAX_BYTES // 1024} KiB",
            cure="keep only the specification in it; documents and data belong in other files",
            place=f"{path}:1:1",
        )
    return content


def decode(content: bytes, path: str) -> str:
    """Return the text without its byte order mark; SpecProblems if it is not clean UTF-8."""
    if content.startswith(_UTF16_MARKS) or b"\x00" in content[:4]:
        raise SpecProblems(
            path,
            [Problem(1, 1, "", "the file is not UTF-8 but UTF-16 or UTF-32", _SAVE_AS_UTF8)],
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig")
        line, column = _position(before, len(before))
        shown = error.object[error.start : error.start + 1]
        raise SpecProblems(
            path,
            [
                Problem(
                    line,
                    column,
                    f"0x{shown.hex()}",
                    f"the byte 0x{shown.hex()} is not UTF-8"
                    f" (in Latin-1 it would be {shown.decode('latin-1')!r})",
                    _SAVE_AS_UTF8,
                )
            ],
        ) from None
    problems = [_forbidden(text, found.start()) for found in _FORBIDDEN.finditer(text)]
    if problems:
        raise SpecProblems(path, problems)
    return text


_SAVE_AS_UTF8 = "save the file as UTF-8 in your editor"


def _forbidden(text: str, offset: int) -> Problem:
    line, column = _position(text, offset)
    code = f"U+{ord(text[offset]):04X}"
    name = unicodedata.name(text[offset], "")
    return Problem(
        line,
        column,
        code,
        f"the character {code}{' ' + name if name else ''} cannot be seen and is not allowed",
        "delete it; inside double quotes it can be written as an escape",
    )


def _position(text: str, offset: int) -> tuple[int, int]:
    """Return the 1-based line and column of an offset; CR, LF and CR LF each end a line."""
    lines = re.split(r"\r\n|\r|\n", text[:offset])
    return len(lines), len(lines[-1]) + 1
