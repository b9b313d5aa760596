"""Check digits of numbers that identify people, cards and accounts.

Sources: ISO/IEC 7812-1 Annex B (Luhn), ISO 13616 (IBAN, mod 97-10; lengths from the SWIFT IBAN
registry), Skatteetaten's description of the Norwegian birth number (weights of both check digits).
"""

from __future__ import annotations

from types import MappingProxyType

__all__ = ["IBAN_LENGTHS", "iban_is_valid", "luhn_is_valid", "norwegian_id_is_valid"]

_LENGTHS = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 "
    "EE20 EG29 ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 "
    "IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 "
    "NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 "
    "TN24 TR26 UA29 VA22 VG24 XK20"
)
IBAN_LENGTHS = MappingProxyType({entry[:2]: int(entry[2:]) for entry in _LENGTHS.split()})
"""Country code → number of characters of an IBAN."""

_FIRST_WEIGHTS = (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)
_SECOND_WEIGHTS = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
_NORWEGIAN_LENGTH = 11
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_D_NUMBER_OFFSET = 40  # added to the day for people without a birth number
# Added to the month: help numbers of the health service (40) and the tax office's synthetic
# people (80), who are indistinguishable from real ones to a reader.
_MONTH_OFFSETS = (0, 40, 80)


def luhn_is_valid(digits: str) -> bool:
    """Return whether a string of ASCII digits ends in its Luhn check digit."""
    total = 0
    for place, char in enumerate(reversed(digits)):
        value = int(char) * (1 + place % 2)
        total += value - 9 if value > 9 else value  # noqa: PLR2004 - the sum of its two digits
    return bool(digits) and total % 10 == 0


def iban_is_valid(iban: str) -> bool:
    """Return whether an IBAN (upper case, no spaces) has its country's length and check digits."""
    if IBAN_LENGTHS.get(iban[:2]) != len(iban) or not (iban.isascii() and iban.isalnum()):
        return False
    turned = iban[4:] + iban[:4]
    return int("".join(str(int(char, 36)) for char in turned)) % 97 == 1


def norwegian_id_is_valid(number: str) -> bool:
    """Return whether eleven ASCII digits are a Norwegian birth, D, help or synthetic number.

    The date must exist (leap years are not told apart) and both check digits must fit. From 2032
    the first check digit will be relaxed; such numbers are not recognised yet.
    """
    if len(number) != _NORWEGIAN_LENGTH or not (number.isascii() and number.isdigit()):
        return False
    day, month = int(number[:2]), int(number[2:4])
    if day > _D_NUMBER_OFFSET:
        day -= _D_NUMBER_OFFSET
    months = [month - offset for offset in _MONTH_OFFSETS if 1 <= month - offset <= len(_DAYS)]
    if not months or not 1 <= day <= _DAYS[months[0] - 1]:
        return False
    return all(
        sum(weight * int(digit) for weight, digit in zip(weights, number, strict=False)) % 11 == 0
        for weights in (_FIRST_WEIGHTS, _SECOND_WEIGHTS)
    )
