"""Text from models, tools and logs, made fit for a terminal.

What is covered: escape sequences and control characters (which can move the cursor, recolour, set
the window's title or write to the clipboard), bidirectional overrides (which show text in another
order than it has), tag characters, lone surrogates, and every kind of line break. ``clean`` takes
them out, for reading; ``spelled`` writes each as its escape, for whoever must see exactly what a
call would use.

What is not covered: look-alike letters, and what the words themselves say.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["clean", "one_line", "spelled"]

_LONGEST_STRING = 4096
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # control sequences: colours, cursor, clearing
    # strings for the terminal (title, clipboard, links); one without an end hides nothing
    rf"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]{{0,{_LONGEST_STRING}}}"
    r"(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"  # all other escapes
)
_BREAKS = re.compile(r"\r\n|[\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]")
_JOINERS = "\u200c\u200d"  # written words of several languages need these two
_REMOVED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def clean(text: str) -> str:
    """Return ``text`` with nothing in it but what is read; every line break is a newline."""
    text = _SEQUENCE.sub("", _BREAKS.sub("\n", text))
    return "".join(char for char in text.expandtabs(4) if not _is_hidden(char))


def one_line(text: str, longest: int = 200) -> str:
    """Return ``text`` cleaned, on one line and shortened, for a cell of a table."""
    line = " ".join(clean(text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def spelled(text: str) -> str:
    """Return ``text`` with each hidden character written out as Python spells it."""
    return "".join(_escape(char) if _is_hidden(char) or char in _JOINERS else char for char in text)


def _is_hidden(char: str) -> bool:
    if char == "\n" or (char.isascii() and char.isprintable()) or char in _JOINERS:
        return False
    return unicodedata.category(char) in _REMOVED or char in "\u2028\u2029"


def _escape(char: str) -> str:
    code = ord(char)
    if code < 0x100:  # noqa: PLR2004 - what two hex digits can say
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004 - four digits
