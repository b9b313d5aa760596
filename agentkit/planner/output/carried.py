"""Does a URL carry something out of what not everybody may read?

What is covered: words and values of confidential content in a URL's host, path, query or fragment,
written together or in groups; plain, percent-encoded twice, in base64 or in hex.

What is not covered: values that were encrypted, cut into short pieces or spelled in a code of the
attacker's own. Such a URL is still shown inert, for it was found in no trusted place.
"""

from __future__ import annotations

import base64
import binascii
import re
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from agentkit.planner.output.values import grouped_values, squeezed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agentkit.planner.provenance import Passage

__all__ = ["CarriedValues"]

_TOKEN = re.compile(r"[\w@.+\-]{4,}")
_ENCODED = re.compile(r"[A-Za-z0-9+/_\-]{8,}={0,2}")
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.\-]*://\S+|\bwww\.\S+")
_LONG_WORD = 9
_SHORTEST = 5


class CarriedValues:
    """The values of confidential passages, ready to be looked for in URLs."""

    def __init__(self, confidential: Iterable[Passage], spoken: str) -> None:
        """``spoken``: what the user and the operator said; their own words give nothing away."""
        said = spoken.casefold()
        together = squeezed(said)
        self._values: dict[str, Passage] = {}
        for passage in confidential:
            # Addresses that stand there whole are judged by their origin, not by their parts.
            words = _ADDRESS.sub(" ", passage.text.casefold())
            for token in _TOKEN.findall(words):
                value = squeezed(token)
                telling = any(char.isdigit() for char in value) or len(value) >= _LONG_WORD
                if telling and token.strip(".-") not in said:
                    self._add(value, passage)
            for grouped in grouped_values(words):
                if (value := squeezed(grouped)) not in together:
                    self._add(value, passage)
        self._lengths = sorted({len(value) for value in self._values})

    def in_url(self, url: str) -> Passage | None:
        """Return a passage of which the URL carries a value, or None."""
        for reading in {squeezed(reading) for reading in _readings(url)}:
            for length in self._lengths:
                for at in range(len(reading) - length + 1):
                    if (found := self._values.get(reading[at : at + length])) is not None:
                        return found
        return None

    def _add(self, value: str, passage: Passage) -> None:
        if len(value) >= _SHORTEST:
            self._values.setdefault(value, passage)


def _readings(url: str) -> Iterator[str]:
    once = unquote_plus(url)
    twice = unquote_plus(once)
    yield from {url, once, twice}
    for piece in {*_ENCODED.findall(twice), *_ENCODED.findall(twice.replace("/", " "))}:
        bare = piece.rstrip("=")
        padded = bare.replace("-", "+").replace("_", "/") + "=" * (-len(bare) % 4)
        with suppress(binascii.Error, UnicodeDecodeError):
            yield base64.b64decode(padded).decode()
        with suppress(ValueError):  # a UnicodeDecodeError is one
            yield bytes.fromhex(bare).decode()
