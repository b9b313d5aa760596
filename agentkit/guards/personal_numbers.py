"""Numbers that identify a person, an account or a card, found by their check digits."""

from __future__ import annotations

import re
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

# Written together, or in the groups that are printed on cards; never part of a longer number.
_CARD = re.compile(
    r"(?<![\w.,-])(?:\d{13,19}+|\d{4}(?P<gap>[ -])\d{4}(?P=gap)\d{4}(?P=gap)\d{1,7}"
    r"|\d{4}(?P<amex>[ -])\d{6}(?P=amex)\d{5})(?![\w-]|[.,]\d)"
)
# Issuer prefixes and lengths in use (ISO/IEC 7812 registry): Visa, Mastercard, American Express,
# Diners Club, Discover, JCB, Maestro, UnionPay.
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"
    r"|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|6(?:011|4[4-9]\d|5\d\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}"
    r"|(?:50|5[6-9]|6\d)\d{10,17}"
)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?= ?[A-Z0-9])")
_IBAN_SPAN = 45  # the longest IBAN with a space after every fourth character
_NORWEGIAN = re.compile(r"(?<![\w.,+-])\d{6} ?\d{5}(?![\w-]|[.,]\d)")


def personal_numbers(text: str) -> Iterator[Span]:
    """Yield payment cards, IBANs and Norwegian identity numbers whose check digits fit."""
    for hit in _CARD.finditer(text):
        digits = "".join(char for char in hit.group() if char.isdigit())
        if digits.isascii() and _ISSUERS.fullmatch(digits) and luhn_is_valid(digits):
            yield Span(*hit.span(), "pii.payment_card")
    for hit in _IBAN.finditer(text):
        end = _iban_end(text, hit.start())
        if end:
            yield Span(hit.start(), end, "pii.iban")
    for hit in _NORWEGIAN.finditer(text):
        if norwegian_id_is_valid(hit.group().replace(" ", "")):
            yield Span(*hit.span(), "pii.norwegian_id")


def _iban_end(text: str, start: int) -> int:
    """Return where a valid IBAN that begins at ``start`` ends, 0 where there is none."""
    length = IBAN_LENGTHS.get(text[start : start + 2], 0)
    letters: list[str] = []
    for place in range(start, min(len(text), start + _IBAN_SPAN)):
        char = text[place]
        if len(letters) == length:
            break
        if char.isascii() and char.isalnum():
            letters.append(char)
        elif char != " " or text[place - 1] == " ":
            break
    else:
        place = min(len(text), start + _IBAN_SPAN)
    goes_on = place < len(text) and text[place].isalnum() and text[place - 1] != " "
    return place if length and not goes_on and iban_is_valid("".join(letters)) else 0
