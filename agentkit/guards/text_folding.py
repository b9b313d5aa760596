"""Text as an attacker's reader would take it: letters folded, tricks undone, offsets kept.

Folding: invisible characters out, compatibility forms and accents to plain letters (NFKD), lower
case, Cyrillic and Greek look-alikes to Latin. Words: letters spelt apart (``i g n o r e``) are
joined. Layers: passages that are base64, hexadecimal, percent-encoded, HTML entities or rot13 are
decoded, twice at most.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import re
import unicodedata
from array import array
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from agentkit.guards.hidden_chars import View, visible_view

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Layer", "Word", "decoded_layers", "fold", "fold_word", "words"]

# Look-alikes in common use (a small part of Unicode TR 39 confusables: Cyrillic, Greek), quotes,
# and Nordic letters that have no decomposition.
_LOOKALIKES = str.maketrans(
    "авеѕіјкмнорсԁгтухһԛԝьүғαβεηικνορτυχωγøđðłı\u2019\u2018\u02bc\u00b4",
    "abesijkmhopcdrtyxhqwbyfabenikvoptuxwyoddli" + "'" * 4,
)

_WORD = re.compile(r"[^\W_]+(?:['@$][^\W_]+)*")
_SPELT_APART = re.compile(r"(?<![^\W_])[^\W\d_](?:[ .\-_*|/]{1,3}[^\W\d_](?![^\W_])){4,200}+")
_ENCODED = re.compile(r"(?<![\w+/-])[A-Za-z0-9+/_-]{24,}+={0,2}(?![\w+/=])")
_HEX = re.compile(r"(?<![0-9a-fA-F])(?:(?:0x|\\x)?[0-9a-fA-F]{2}[ ,:]?){12,}+")
_HEX_DIGITS = re.compile(r"(?:0x|\\x)?([0-9a-fA-F]{2})[ ,:]?")
_PERCENT = re.compile(r"(?:%[0-9a-fA-F]{2}){3}|(?:%[0-9a-fA-F]{2}.{0,12}){5}", re.DOTALL)
_ENTITY = re.compile(r"&#x?[0-9a-fA-F]{1,6};")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
# "instruct", "instruks", "prompt", "system", "password" in rot13: most texts need no decoding.
_ROT13_HINT = re.compile("vafgehpg|vafgehxf|cebzcg|flfgrz|cnffjbeq", re.IGNORECASE)
_READABLE = 0.9
_LAYER_DEPTH = 2


class Word(NamedTuple):
    """A folded word and where it stands in the original text."""

    text: str
    start: int
    end: int


class Layer(NamedTuple):
    """A decoded passage. ``start``, ``end``: where its encoded form stands in the original."""

    text: str
    start: int
    end: int
    encoding: str


@lru_cache(maxsize=4096)
def _fold_char(char: str) -> str:
    decomposed = unicodedata.normalize("NFKD", char).lower().translate(_LOOKALIKES)
    return "".join(part for part in decomposed if not unicodedata.combining(part))


def fold_word(word: str) -> str:
    """Fold a word of a lexicon as the texts are folded."""
    return "".join(_fold_char(char) for char in word)


def fold(text: str) -> View:
    """Return the folded text with offsets into ``text``."""
    seen = visible_view(text)
    if seen.text.isascii():
        return View(seen.text.lower(), seen.offsets)
    pieces: list[str] = []
    offsets = array("I")
    for offset, char in zip(seen.offsets, seen.text, strict=True):
        folded = _fold_char(char)
        pieces.append(folded)
        offsets.extend([offset] * len(folded))
    return View("".join(pieces), offsets)


def words(view: View) -> Iterator[Word]:
    """Yield the words of a folded text in order; letters spelt apart count as one word."""
    position = 0
    for spelt in _SPELT_APART.finditer(view.text):
        yield from _plain_words(view, position, spelt.start())
        for passage in re.split(r"(?:[ .\-_*|/]){2,3}", spelt.group()):
            joined = "".join(char for char in passage if char.isalpha())
            if joined:
                yield Word(joined, *view.original(*spelt.span()))
        position = spelt.end()
    yield from _plain_words(view, position, len(view.text))


def _plain_words(view: View, start: int, end: int) -> Iterator[Word]:
    for hit in _WORD.finditer(view.text, start, end):
        yield Word(hit.group(), *view.original(*hit.span()))


def decoded_layers(text: str, depth: int = 0) -> Iterator[Layer]:
    """Yield what decoding gives, layer by layer; offsets are those of the outermost encoding."""
    for layer in _layers(text):
        yield layer
        if depth + 1 < _LAYER_DEPTH:
            for inner in decoded_layers(layer.text, depth + 1):
                yield inner._replace(start=layer.start, end=layer.end)


def _layers(text: str) -> Iterator[Layer]:
    for hit in _ENCODED.finditer(text):
        decoded = _from_base64(hit.group())
        if decoded:
            yield Layer(decoded, *hit.span(), "base64")
    for hit in _HEX.finditer(text):
        numbers = bytes.fromhex("".join(_HEX_DIGITS.findall(hit.group())))
        decoded = _readable(numbers)
        if decoded:
            yield Layer(decoded, *hit.span(), "hexadecimal")
    whole = (0, len(text))
    if _PERCENT.search(text):
        yield Layer(unquote(text), *whole, "percent-encoded")
    if _ENTITY.search(text):
        yield Layer(html.unescape(text), *whole, "HTML entities")
    if _ESCAPE.search(text):
        yield Layer(_ESCAPE.sub(lambda hit: chr(int(hit[1], 16)), text), *whole, "escapes")
    if _ROT13_HINT.search(text):
        yield Layer(codecs.encode(text, "rot13"), *whole, "rot13")


def _from_base64(token: str) -> str:
    body = token.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return _readable(base64.b64decode(body + "=" * (-len(body) % 4)))
    except (binascii.Error, ValueError):
        return ""


def _readable(data: bytes) -> str:
    """Return decoded bytes where they read as text, else nothing."""
    text = data.decode("utf-8", errors="replace")
    readable = sum(char.isprintable() or char.isspace() for char in text)
    words_apart = sum(char.isspace() for char in text)
    enough = readable >= _READABLE * len(text) and "\N{REPLACEMENT CHARACTER}" not in text
    return text if enough and words_apart else ""
