"""Numbers and amounts in the spellings people use: ``1 234,50 kr``, ``$1,234.50``, ``12 %``.

A separator before exactly three digits groups thousands where it is a space, an apostrophe or a
comma, and where the number is an amount of money; ``1.234`` alone is read as a decimal fraction.
What can be read in two ways otherwise is read in one: the other asks a person.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["find_numbers", "plain_number"]

_CURRENCIES = {
    "kr": "NOK",
    "kr.": "NOK",
    "nok": "NOK",
    "kroner": "NOK",
    "krone": "NOK",
    "$": "USD",
    "usd": "USD",
    "dollar": "USD",
    "dollars": "USD",
    "€": "EUR",
    "eur": "EUR",
    "euro": "EUR",
    "euros": "EUR",
    "£": "GBP",
    "gbp": "GBP",
    "pounds": "GBP",
    "sek": "SEK",
    "dkk": "DKK",
    "chf": "CHF",
}
_UNITS = {
    "%": "%",
    "percent": "%",
    "prosent": "%",
    **dict.fromkeys(("kg", "kilo", "kilos"), "kg"),
    **dict.fromkeys(("g", "gram", "grams"), "g"),
    **dict.fromkeys(("km", "kilometer", "kilometers", "kilometres"), "km"),
    **dict.fromkeys(("m", "meter", "meters", "metres"), "m"),
    **dict.fromkeys(("cm",), "cm"),
    **dict.fromkeys(("mm",), "mm"),
    **dict.fromkeys(("l", "liter", "litre", "liters", "litres"), "l"),
    **dict.fromkeys(("mb", "mib", "gb", "gib", "kb", "kib"), ""),
    **dict.fromkeys(("min", "mins", "minute", "minutes", "minutt", "minutter"), "min"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours", "time", "timer"), "h"),
    **dict.fromkeys(("day", "days", "dag", "dager", "døgn"), "d"),
    **dict.fromkeys(("week", "weeks", "uke", "uker"), "wk"),
    **dict.fromkeys(("month", "months", "måned", "måneder"), "mo"),
    **dict.fromkeys(("year", "years", "år"), "y"),
}


def _alternatives(names: dict[str, str]) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))


_NUMBER = re.compile(
    rf"(?<![\w.,:/+\-])(?:(?P<before>{_alternatives(_CURRENCIES)})\s?)?"
    r"(?P<sign>[-\u2212])?"
    r"(?P<digits>\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?:[.,]\d+)?"
    r"|\d{1,3}(?:['\u2019]\d{3})+(?:[.,]\d+)?"
    r"|\d{1,3}(?:,\d{3}){2,}(?:\.\d+)?|\d{1,3}(?:\.\d{3}){2,}(?:,\d+)?"
    r"|\d{1,3},\d{3}\.\d+|\d{1,3}\.\d{3},\d+|\d{1,30}(?:[.,]\d{1,20})?)"
    r"(?:,-)?"
    rf"(?:[ \u00a0\u202f]?(?P<after>{_alternatives(_CURRENCIES | _UNITS)})(?!\w))?"
    r"(?![\w]|[.,:/\-]\d)",
    re.IGNORECASE,
)
_ONE_GROUP = re.compile(r"(\d{1,3})([.,])(\d{3})")


def find_numbers(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield ``(spelling, start, end)`` of each number; one with a unit is also spelled with it.

    ``12 %`` is spelled ``12``, ``0.12`` and ``12 %``.
    """
    for found in _NUMBER.finditer(text):
        unit = _unit(found["before"], found["after"])
        value = _value(found["digits"], money=unit in _CURRENCIES.values())
        if value is None:
            continue
        if found["sign"]:
            value = value.copy_negate()
        start, end = found.span()
        yield plain_number(value), start, end
        if unit == "%":
            yield plain_number(Decimal(f"{value:f}E-2")), start, end
        if unit:
            yield f"{plain_number(value)} {unit}", start, end


def plain_number(value: Decimal) -> str:
    """Return a number's one spelling: all of its digits, no exponent, no trailing zeros."""
    text = f"{value:f}"  # arithmetic, also ``normalize``, would round to 28 digits
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", "0"} else text


def _unit(before: str | None, after: str | None) -> str:
    if before:
        return _CURRENCIES[before.casefold()]
    if not after:
        return ""
    name = after.casefold()
    return _CURRENCIES.get(name) or _UNITS[name] or name.upper()


def _value(digits: str, *, money: bool) -> Decimal | None:
    if digits[0] == "0" and digits[1:2].isdigit():
        return None  # 007 is a name, not the number 7
    if grouped := _ONE_GROUP.fullmatch(digits):
        thousands = money or grouped[2] == ","
        text = grouped[1] + ("" if thousands else ".") + grouped[3]
    else:
        text = re.sub(r"[\s'\u2019]", "", digits)
        last = max(text.rfind("."), text.rfind(","))
        if last >= 0:
            tail = text[last + 1 :]
            repeated = text.count(text[last]) > 1
            whole = text[:last].replace(".", "").replace(",", "")
            text = whole + ("" if repeated else ".") + tail
    try:
        return Decimal(text)
    except InvalidOperation:
        return None
