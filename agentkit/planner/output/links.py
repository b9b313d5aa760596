"""Everything in a text that a face may turn into a link, a picture or a request.

What is covered: Markdown links and pictures, reference definitions, autolinks, HTML tags that load
or link something, URLs of any scheme, hosts written alone, e-mail and telephone links, schemes
that run or embed (``javascript:``, ``data:``).

What is not covered: hosts of rare endings written without scheme, ``www.`` or path; markup of other
kinds than Markdown and HTML.
"""

from __future__ import annotations

import html
import re
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
_STOP = r"\s<>\"`|\\^{}"
_PATTERN = re.compile(
    r"(?P<bang>!?)\[(?P<words>(?:[^\[\]]|\[[^\[\]]*\])*)\]"
    r"\(\s*(?:<(?P<angled>[^<>\n]*)>|(?P<target>(?:[^\s()]|\([^\s()]*\))*))[^()]*\)"
    r"|^[ >]{0,8}\[(?P<name>[^\]\n]+)\]:\s*<?(?P<reference>[^\s<>]+)>?[^\n]*"
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
            while end > start and text[end - 1] in _TRAILING and not _closes(text[start:end]):
                end -= 1
            written = text[start:end]
            bare_host = re.match(rf"{_SCHEME}|//|www\.", written, re.IGNORECASE) is None
            in_code = any(begin <= start < stop for begin, stop in code)
            if not (bare_host and in_code):  # a.b in code is an attribute, not a host
                yield Link(start, end, Shape.BARE, html.unescape(written))
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


def _closes(written: str) -> bool:
    """Whether the last character closes a bracket that the URL itself opened."""
    return written.endswith(")") and written.count("(") >= written.count(")")
