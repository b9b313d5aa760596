"""Everything in a text that a face may turn into a link, a picture or a request.

What is covered: Markdown links and pictures, reference definitions, autolinks, HTML tags that load
or link something, URLs of any scheme, hosts written alone, e-mail and telephone links, schemes
that run or embed (``javascript:``, ``data:``).

What is not covered: what only a parser of Markdown sees (``rendered`` looks for that); hosts of
rare endings written without scheme, ``www.`` or path; markup of other kinds than Markdown and HTML.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Link", "Shape", "find_links"]


class Shape(StrEnum):
    """How a link is written."""

    BARE = "bare"
    MARKDOWN = "markdown"
    IMAGE = "image"
    REFERENCE = "reference"
    TAG = "tag"


@dataclass(frozen=True, slots=True)
class Link:
    """One link: ``text[start:end]`` is all of it. ``target``: where it leads, entities decoded;
    ``words``: what is read in its place.
    """

    start: int
    end: int
    shape: Shape
    target: str
    words: str = ""


_SCHEME = r"[A-Za-z][A-Za-z0-9+.\-]{1,30}:"
_BARE_SCHEMES = r"(?:mailto|tel|sms|data|javascript|vbscript|file|blob|about|view-source):"
_ENDINGS = "com|net|org|info|biz|app|dev|xyz|top|site|online|shop|cloud|example|test|[a-z]{2}"
_LABEL = r"[^\W_](?:[\w\-]*[^\W_])?"
_TITLE = r"(?:\"[^\"\n]*\"|'[^'\n]*')"
_STOP = r"\s<>\"`|\\^{}"
_PATTERN = re.compile(
    r"(?P<bang>!?)\[(?P<words>(?:[^\[\]]|\[[^\[\]]*\])*)\]"
    r"\(\s{0,8}(?:<(?P<angled>[^<>\n]*)>|(?P<target>(?:[^\s()]|\([^\s()]*\))*))"
    rf"(?:\s{{1,8}}{_TITLE})?\s{{0,8}}\)"
    r"|^[ >]{0,8}\[(?P<name>[^\]\n]+)\]:\s{0,8}<?(?P<reference>[^\s<>]+)>?"
    rf"(?:[ \t]{{1,8}}{_TITLE})?[ \t]{{0,8}}$"
    rf"|<(?P<auto>{_SCHEME}[^\s<>]*)>"
    rf"|(?P<tag><\s{{0,4}}/?\s{{0,4}}(?!{_SCHEME})[A-Za-z!?][^<>]*(?:=|//)[^<>]*>?"
    r"|<\s{0,4}/?\s{0,4}(?:script|style|iframe|object"
    r"|embed|svg|form|base|meta|link|img|video|audio|picture|source)\b[^<>]*>?)"
    rf"|(?P<url>(?<![\w@])(?:{_SCHEME}//|{_BARE_SCHEMES}(?=[^\s]))[^{_STOP}]*"
    rf"|(?<![\w@./\-])(?://|www\.){_LABEL}(?:\.{_LABEL})+[^{_STOP}]*"
    rf"|(?<![\w@./\-])(?:{_LABEL}\.)+(?:{_ENDINGS})(?![\w(])(?::\d+)?(?:[/?#][^{_STOP}]*)?(?!@))",
    re.MULTILINE | re.IGNORECASE,
)
_IN_TAG = re.compile(r"=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+))")
_TRAILING = ".,;:!?)]}'*_"
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)


def find_links(text: str) -> Iterator[Link]:
    """Yield each link, in order and without overlap."""
    code = [found.span() for found in _CODE.finditer(text)]
    for found in _PATTERN.finditer(text):
        start, end = found.span()
        if found["url"] is not None:
            end = _end_of_url(text, start, end)
            written = text[start:end]
            bare_host = re.match(rf"{_SCHEME}|//|www\.", written, re.IGNORECASE) is None
            last = bisect_right(code, (start, len(text))) - 1
            in_code = last >= 0 and start < code[last][1]
            if not (bare_host and in_code):  # a.b in code is an attribute, not a host
                yield Link(start, end, Shape.BARE, html.unescape(written))
        elif found["auto"] is not None:
            yield Link(start, end, Shape.BARE, html.unescape(found["auto"]))
        elif found["tag"] is not None:
            targets = ["".join(parts) for parts in _IN_TAG.findall(found["tag"])]
            yield Link(start, end, Shape.TAG, html.unescape(" ".join(targets)), found["tag"])
        elif found["reference"] is not None:
            target = html.unescape(found["reference"])
            yield Link(start, end, Shape.REFERENCE, target, found["name"])
        else:
            target = found["angled"] if found["angled"] is not None else found["target"]
            shape = Shape.IMAGE if found["bang"] else Shape.MARKDOWN
            yield Link(start, end, shape, html.unescape(target), found["words"])


def _end_of_url(text: str, start: int, end: int) -> int:
    """Leave out the punctuation behind a URL, but no bracket that the URL itself opened."""
    unopened = text.count(")", start, end) - text.count("(", start, end)
    while end > start and text[end - 1] in _TRAILING:
        if text[end - 1] == ")":
            if unopened <= 0:
                break
            unopened -= 1
        end -= 1
    return end
