"""Numbers that identify a person, an account or a card, found by their check digits.

They are searched in a plain view of the text: digits of any script, spaces and dashes of any width
stand for the ASCII ones. A neighbour rules a number out only where it continues it; what was found
by chance is told apart by the check digits.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from agentkit.guards.checksums import (
    IBAN_LENGTHS,
    iban_is_valid,
    luhn_is_valid,
    norwegian_id_is_valid,
)
from agentkit.guards.verdict import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["personal_numbers"]

_GAP = "[ .-]?"
# A digit first, so that the engine skips text quickly; then what stands around the number. Matches
# are empty, for a number may begin inside what only looked like one ("0150 4111 1111 ...").
_ALONE = r"(?=[0-9])(?<![^\W_])(?<!\+)(?<![0-9][.-])(?=(?P<number>{digits})(?![^\W_])(?![.-][0-9]))"
_CARD = re.compile(
    _ALONE.format(
        digits=f"[0-9]{{4}}{_GAP}(?:[0-9]{{4}}{_GAP}[0-9]{{4}}{_GAP}[0-9]{{1,7}}"
        f"|[0-9]{{6}}{_GAP}[0-9]{{4,5}})"
    )
)
# Issuer prefixes and lengths in use (ISO/IEC 7812 registry): Visa, Mastercard, American Express,
# Diners Club, Discover, JCB, UnionPay, Maestro. Not every length that the registry allows: a KID
# also ends in a Luhn digit, and 13-digit Visas are no longer issued.
_ISSUERS = re.compile(
    r"4(?:\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"
    r"|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|6(?:011|4[4-9]\d|5\d\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}"
    r"|62(?:\d{14}|\d{17})|(?:5018|5020|5038|5893|6304|6759|676[1-3])(?:\d{12}|\d{14}|\d{15})"
)
_NORWEGIAN = re.compile(
    _ALONE.format(
        digits=f"[0-9]{{2}}(?P<dots>{_GAP})[0-9]{{2}}(?P=dots)[0-9]{{2}}{_GAP}[0-9]{{3}}{_GAP}[0-9]{{2}}"
    )
)
_IBAN = re.compile(rf"[A-Z]{{2}}(?<![A-Z0-9]..){_GAP}[0-9]{{2}}(?={_GAP}[A-Z0-9])", re.IGNORECASE)
_IBAN_SPAN = 46  # the longest IBAN with a gap after the country and every fourth character
# What a number of another kind is called: its digits may fit by chance.
_OTHER_NUMBER = re.compile(
    r"(?:\bkid|konto|faktura|ordre)(?:-?(?:nr|nummer))?[\"']?[ .:=#]{0,4}[\"']?$", re.IGNORECASE
)
_LONGEST_NAME = 24


def personal_numbers(text: str) -> Iterator[Span]:
    """Yield payment cards, IBANs and Norwegian identity numbers whose check digits fit."""
    plain = text if text.isascii() else "".join(map(_plain, text))
    for hit in _CARD.finditer(plain):
        digits = _compact(hit["number"])
        if _ISSUERS.fullmatch(digits) and luhn_is_valid(digits) and not _is_other(plain, hit):
            yield Span(*hit.span("number"), "pii.payment_card")
    for hit in _IBAN.finditer(plain):
        end = _iban_end(plain, hit.start())
        if end:
            yield Span(hit.start(), end, "pii.iban")
    for hit in _NORWEGIAN.finditer(plain):
        if norwegian_id_is_valid(_compact(hit["number"])) and not _is_other(plain, hit):
            yield Span(*hit.span("number"), "pii.norwegian_id")


@lru_cache(maxsize=4096)
def _plain(char: str) -> str:
    """Return the ASCII digit, letter, space or hyphen that a character stands for; one for one."""
    category = unicodedata.category(char)
    if category == "Nd":
        return str(unicodedata.decimal(char))
    if category == "Zs":
        return " "
    if category == "Pd":
        return "-"
    letter = unicodedata.normalize("NFKC", char) if category in {"Lu", "Ll"} else char
    return letter if len(letter) == 1 else char


def _compact(number: str) -> str:
    return "".join(char for char in number if char.isdigit())


def _is_other(plain: str, hit: re.Match[str]) -> bool:
    """Return whether the text says that this is a payment reference or an account."""
    before = plain[max(0, hit.start() - _LONGEST_NAME) : hit.start()]
    return _OTHER_NUMBER.search(before) is not None


def _iban_end(plain: str, start: int) -> int:
    """Return where a valid IBAN that begins at ``start`` ends, 0 where there is none."""
    length = IBAN_LENGTHS.get(plain[start : start + 2].upper(), 0)
    letters: list[str] = []
    for place in range(start, min(len(plain), start + _IBAN_SPAN)):
        char = plain[place]
        if len(letters) == length:
            break
        if char.isascii() and char.isalnum():
            letters.append(char.upper())
        elif char not in " .-" or plain[place - 1] in " .-":
            break
    else:
        place = min(len(plain), start + _IBAN_SPAN)
    goes_on = plain[place : place + 1].isalnum()
    return place if length and not goes_on and iban_is_valid("".join(letters)) else 0
