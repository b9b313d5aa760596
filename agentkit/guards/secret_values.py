"""Secrets without a shape of their own: values given to a name that says they are secret.

Conservative by design: a value counts where it is written out (no variable, no placeholder, no
call) and looks made by a generator or chosen as a password.
"""

from __future__ import annotations

import re
from collections import Counter
from math import log2
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["assigned_secrets", "is_placeholder", "shannon_bits"]

_PASSWORDS = "password|passwd|passphrase|passord|passfrase|pwd"
_KEYWORDS = (
    "secret[_-]?key|secret|token|api[_-]?key|apikey|access[_-]?key"
    "|auth[_-]?key|private[_-]?key|encryption[_-]?key|signing[_-]?key|credential|hemmelighet"
)
# name with its ending ("secrets", "passordet", but no "secretary"), up to two more words of it,
# "=" or ":" or "=>", an optional quote, the value.
_ASSIGNMENT = re.compile(
    rf"(?i:(?P<password>{_PASSWORDS})|{_KEYWORDS})(?:s|et|en|er|ene)?(?![a-zæøå])"
    r"[\w-]{0,24}+[\"']?[ \t]{0,8}+(?::=|=>|==|=|:)[ \t]{0,8}+"
    r"(?:(?P<quote>[\"'`])(?P<quoted>[^\"'`\s]{6,256}+)(?P=quote)"
    r"|(?P<bare>[^\s\"'`,;&(){}\[\]<>]{8,256}+))"
)
_PLACEHOLDER = re.compile(
    r"(?i)^(?:[x*.•_-]+|<.*|\$.*|%.*|\{.*|\[.*|.*\.\.\..*|(?:your|my|min|ditt|din|the|some|enter)[_-].*"
    r"|.*(?:example|eksempel|placeholder|change_?me|redacted|dummy|sample|not-?a-?|insert|todo).*"
    r"|(?:none|null|true|false|undefined|string|str|bytes|required|optional|secret|password|passord|token)+"
    r"|(?:os|self|settings|config|env|process|request|args|params|secrets|conf|cfg|ctx|app)\..*)$"
)
_CODE_NAME = re.compile(r"^[A-Za-z_][A-Za-z_]*(?:[.\-/:][A-Za-z_]+)*$")
# What people choose and code does not name: "Sommer2024", "vinter2025", but no "sha256".
_CHOSEN = re.compile(r"^(?:[A-ZÆØÅ][A-Za-zæøåÆØÅ]+\d{2,}|[a-zæøå]+\d{4,})$")
# Addresses without a password in them, and times.
_PUBLIC = re.compile(
    r"^(?:[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}|[A-Za-z][A-Za-z0-9+.-]*://[^@]*"
    r"|\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:?\d\d)?)?)\.?$"
)
_QUOTED_BITS = 2.5
_BARE_BITS = 2.75
_BARE_CLASSES = 3
_DIGIT_INSIDE = re.compile(r"\d[A-Za-z]")
_IDENTIFIER = re.compile(r"^[A-Za-z_]\w*(?:\.\w+)*$")


def shannon_bits(text: str) -> float:
    """Return the Shannon entropy of the characters of ``text``, in bits a character."""
    counts = Counter(text)
    return -sum(n / len(text) * log2(n / len(text)) for n in counts.values())


def is_placeholder(value: str) -> bool:
    """Return whether a value stands for a secret instead of being one."""
    return _PLACEHOLDER.match(value) is not None


def assigned_secrets(text: str) -> Iterator[tuple[int, int]]:
    """Yield ``(start, end)`` of values that were assigned to a secret's name."""
    for hit in _ASSIGNMENT.finditer(text):
        group = "quoted" if hit["quoted"] is not None else "bare"
        value = hit[group]
        if is_placeholder(value) or _PUBLIC.match(value):
            continue
        is_called = text.startswith("(", hit.end())
        is_chosen = hit["password"] is not None and _CHOSEN.match(value) and not is_called
        if is_chosen or _looks_secret(value, quoted=group == "quoted"):
            yield hit.span(group)


def _looks_secret(value: str, *, quoted: bool) -> bool:
    if _CODE_NAME.match(value):
        return False  # a word or a dotted name: a variable, a field, prose
    bits = shannon_bits(value)
    if quoted:
        return bits >= _QUOTED_BITS
    if _IDENTIFIER.match(value) and ("." in value or not _DIGIT_INSIDE.search(value)):
        return False  # an expression in code
    return bits >= _BARE_BITS and _classes(value) >= _BARE_CLASSES


def _classes(value: str) -> int:
    """Return how many of lower case, upper case, digits and signs occur."""
    return (
        any(char.islower() for char in value)
        + any(char.isupper() for char in value)
        + any(char.isdigit() for char in value)
        + any(not char.isalnum() for char in value)
    )
