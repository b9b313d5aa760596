"""Where something can be sent: URLs, hosts, e-mail addresses, accounts and telephone numbers.

Each has one spelling, whatever the case of a host, a missing scheme, the slashes that a browser
takes for two, or the groups of an account.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agentkit.guards.checksums import IBAN_LENGTHS, iban_is_valid
from agentkit.planner.provenance.fold import lower

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["find_accounts", "find_emails", "find_urls", "host_of"]

# The dots that a browser takes for one (RFC 3490, section 3.1).
_DOTS = str.maketrans(dict.fromkeys("\u3002\uff0e\uff61", "."))
_LABEL = r"[^\W_](?:[\w\-]*[^\W_])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*\.(?:[Xx][Nn]--[\w\-]*[^\W_]|[^\W\d_]{{2,63}})"
_EMAIL = re.compile(
    rf"(?<![\w.!#$%&*+/=?^{{|}}~\-@])(?:mailto:)?([\w.!#$%&*+/=?^{{|}}~\-]+@{_HOST})(?![^\W_])"
)
_WEB = r"(?i:https?|wss?|ftp):"
_REST = r"[^\s<>\"'`\\^{}|]"
# No scheme is longer than the bound, without which a line of letters would take quadratic time.
_URL = re.compile(
    rf"(?P<full>(?:[A-Za-z][A-Za-z0-9+.\-]{{0,40}}://|{_WEB}[/\\]+){_REST}+)"
    rf"|(?<![\w:/\\])(?P<beside>[/\\]{{2,}}(?=\[|[^\W_][\w\-%]*(?:[.%]\w|:\d)){_REST}+)"
    rf"|(?<![\w@.\-/])(?P<bare>(?:{_HOST})(?::\d+)?(?:[/?#]{_REST}*)?)(?![\w@])"
)
_SLASHES = re.compile(rf"({_WEB})[/\\]+")
_TRAILING = ".,;:!?)]}'\"*_"
# Names of files that look like hosts; as a host, each would be written with a scheme.
_FILE_ENDINGS = """
pdf txt md csv tsv doc docx xls xlsx ppt pptx odt rtf json yaml yml xml html htm toml ini cfg
log py js ts rs go java rb php sh sql ipynb png jpg jpeg gif svg webp mp3 mp4 wav ics eml zip
tar gz bak tmp lock
"""
_FILES = frozenset(_FILE_ENDINGS.split())
_ACCOUNT = re.compile(r"(?<![\w+.\-])\+?(?:\(?\d+\)?)(?:[ \u00a0.\-]\(?\d+\)?)*(?![\w]|[.\-]\w)")
_IBAN = re.compile(r"(?<!\w)[A-Za-z]{2}\d{2}(?:[ \u00a0]?[A-Za-z0-9]){11,30}(?!\w)")
_SHORTEST_ACCOUNT = 8


def find_emails(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield ``(spelling, start, end)`` of each e-mail address."""
    for found in _EMAIL.finditer(text.translate(_DOTS)):
        yield lower(found[1]), *found.span()


def find_urls(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield ``(spelling, start, end)`` of each URL and each host written alone.

    What is written without a scheme is spelled with ``https`` and with ``http``.
    """
    plain = text.translate(_DOTS)
    for found in _URL.finditer(plain):
        start, end = found.span()
        while end > start and plain[end - 1] in _TRAILING:
            end -= 1
        written = plain[start:end]
        if found["full"]:
            yield _spelled(_SLASHES.sub(r"\1//", written, count=1)), start, end
        elif found["beside"] or _is_host(written):
            written = written.lstrip("/\\")
            yield _spelled(f"https://{written}"), start, end
            yield _spelled(f"http://{written}"), start, end


def find_accounts(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield ``(spelling, start, end)`` of each long number written in groups (an account, a card,
    a telephone number; at least eight digits) and each valid IBAN.
    """
    rest = list(text)
    for found in _IBAN.finditer(text):
        spelled, taken = _iban(found[0])
        if spelled:
            yield spelled, found.start(), found.start() + taken
            rest[found.start() : found.start() + taken] = "|" * taken
    for found in _ACCOUNT.finditer("".join(rest)):
        digits = re.sub(r"[^\d+]", "", found[0])
        if len(digits.lstrip("+")) >= _SHORTEST_ACCOUNT:
            yield re.sub(r"^00", "+", digits), *found.span()


def host_of(url: str) -> str:
    """Return the host of a URL in its one spelling, empty where there is none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _spelled(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return url
    scheme, host = lower(parts.scheme), (parts.hostname or "").rstrip(".")
    usual = {"https": 443, "http": 80}.get(scheme)
    where = host if port in {None, usual} else f"{host}:{port}"
    if parts.username is not None or parts.password is not None:
        where = f"{parts.netloc.rpartition('@')[0]}@{where}"
    path = parts.path.rstrip("/")
    query = f"?{parts.query}" if parts.query else ""
    fragment = f"#{parts.fragment}" if parts.fragment else ""
    return f"{scheme}://{where}{path}{query}{fragment}"


def _is_host(written: str) -> bool:
    host = re.split(r"[/?#:]", written, maxsplit=1)[0]
    return len(host) < len(written) or lower(host.rpartition(".")[2]) not in _FILES


def _iban(written: str) -> tuple[str, int]:
    """Return the valid IBAN that the passage starts with, and how many characters it takes."""
    length = IBAN_LENGTHS.get(written[:2].upper(), 0)
    spelled = ""
    for taken, character in enumerate(written, start=1):
        if not character.isspace():
            spelled += character.upper()
        if len(spelled) == length:
            alone = not written[taken : taken + 1].isalnum()
            return (spelled, taken) if alone and iban_is_valid(spelled) else ("", 0)
    return "", 0
