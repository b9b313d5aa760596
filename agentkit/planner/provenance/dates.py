"""Dates and times of day in the spellings people use, English and Norwegian.

``3. mars 2026``, ``03.03.2026``, ``March 3rd, 2026`` and ``2026-03-03`` are one date. A day without
a year is spelled ``--03-03``; ``3/4/2026``, which is read in two ways, is none. Times of day are
spelled ``14:30``.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["find_dates", "find_times"]

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january januar jan",
            "february februar feb",
            "march mars mar",
            "april apr",
            "may mai",
            "june juni jun",
            "july juli jul",
            "august aug",
            "september sept sep",
            "october oktober oct okt",
            "november nov",
            "december desember dec des",
        ),
        start=1,
    )
    for name in names.split()
}
_NAMES = "|".join(sorted(_MONTHS, key=len, reverse=True))
_DATE = re.compile(
    r"(?<![\w.,:/+\-])(?:"
    r"(?P<y1>\d{4})(?P<s1>[-/])(?P<m1>\d{1,2})(?P=s1)(?P<d1>\d{1,2})"
    r"|(?P<d2>\d{1,2})\. ?(?P<m2>\d{1,2})\. ?(?P<y2>\d{4})"
    r"|(?P<a3>\d{1,2})/(?P<b3>\d{1,2})/(?P<y3>\d{4})"
    rf"|(?P<d4>\d{{1,2}})(?:\.|st|nd|rd|th)?\s?(?:of\s)?(?P<m4>{_NAMES})\.?(?:,?\s(?P<y4>\d{{4}}))?"
    rf"|(?P<m5>{_NAMES})\.?\s(?P<d5>\d{{1,2}})(?:st|nd|rd|th)?(?:,?\s(?P<y5>\d{{4}}))?"
    r")(?=$|[Tt]\d|[^\w])(?![-/]\d)",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"(?:(?<![\w.,:/+\-])|(?<=\d[Tt]))(?:"
    r"(?P<h1>\d{1,2}):(?P<m1>\d{2})(?::00(?:\.0+)?)?(?:\s?(?P<half1>[ap])\.?m\b\.?)?"
    r"|(?P<h2>\d{1,2})\s?(?P<half2>[ap])\.?m\b\.?"
    r"|(?:kl\.?\s?)(?P<h3>\d{1,2})(?:[.:](?P<m3>\d{2}))?"
    r")(?![\w]|[:.+\-]\d)",
    re.IGNORECASE,
)
_NOON = 12


def find_dates(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield ``(spelling, start, end)`` of each date."""
    for found in _DATE.finditer(text):
        spelling = _date(found)
        if spelling:
            yield spelling, *found.span()


def find_times(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield ``(spelling, start, end)`` of each time of day."""
    for found in _TIME.finditer(text):
        hour = int(found["h1"] or found["h2"] or found["h3"])
        minute = int(found["m1"] or found["m3"] or 0)
        half = (found["half1"] or found["half2"] or "").casefold()
        if half:
            if not 1 <= hour <= _NOON:
                continue
            hour = hour % _NOON + (_NOON if half == "p" else 0)
        if hour < 24 and minute < 60:  # noqa: PLR2004 - hours of a day, minutes of an hour
            yield f"{hour:02}:{minute:02}", *found.span()


def _date(found: re.Match[str]) -> str:
    if found["y1"]:
        return _spelled(found["y1"], int(found["m1"]), int(found["d1"]))
    if found["y2"]:
        return _spelled(found["y2"], int(found["m2"]), int(found["d2"]))
    if found["y3"]:
        first, second = int(found["a3"]), int(found["b3"])
        readings = {
            _spelled(found["y3"], month, day) for day, month in ((first, second), (second, first))
        } - {""}
        return readings.pop() if len(readings) == 1 else ""
    month = _MONTHS[(found["m4"] or found["m5"]).casefold()]
    return _spelled(found["y4"] or found["y5"], month, int(found["d4"] or found["d5"]))


def _spelled(year: str | None, month: int, day: int) -> str:
    try:
        checked = date(int(year) if year else 2000, month, day)  # 2000 has a 29th of February
    except ValueError:
        return ""
    return checked.isoformat() if year else f"--{month:02}-{day:02}"
