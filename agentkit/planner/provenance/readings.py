"""What a value can be read as: a number, a date, a time, an address, an account, or plain words."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from agentkit.planner.provenance.addresses import find_accounts, find_emails, find_urls
from agentkit.planner.provenance.dates import find_dates, find_times
from agentkit.planner.provenance.fold import fold
from agentkit.planner.provenance.numbers import find_numbers, plain_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agentkit.messages import JsonValue

__all__ = ["SCANNERS", "Kind", "Reading", "destinations", "principal", "read_value", "same_value"]


class Kind(StrEnum):
    """What a typed value is."""

    NUMBER = "number"
    DATE = "date"
    TIME = "time"
    EMAIL = "e-mail address"
    URL = "URL"
    ACCOUNT = "account or telephone number"


SCANNERS: Mapping[Kind, Callable[[str], Iterator[tuple[str, int, int]]]] = MappingProxyType(
    {
        Kind.NUMBER: find_numbers,
        Kind.DATE: find_dates,
        Kind.TIME: find_times,
        Kind.EMAIL: find_emails,
        Kind.URL: find_urls,
        Kind.ACCOUNT: find_accounts,
    }
)
"""What finds each kind in a text: ``(spelling, start, end)`` of each."""

_BETWEEN = frozenset({"", "t", "at", "kl", "kl."})
# What Markdown and HTML read as another character.
_ESCAPE = re.compile(
    r"\\([!-/:-@\[-`{-~])|(&(?:#\d+;?|#x[\da-f]+;?|[a-z][a-z\d]*;))", re.IGNORECASE
)
# No spelling of a typed value is longer: what is, is read as words alone.
_LONGEST = 2048


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a value: spellings that must each be found, all of them, to vouch for it."""

    needed: tuple[tuple[Kind, str], ...]


def read_value(value: JsonValue) -> tuple[Reading, ...]:
    """Return the typed readings of a scalar; none for plain words."""
    if isinstance(value, bool) or value is None:
        return ()
    if isinstance(value, int | float):
        return (Reading(((Kind.NUMBER, plain_number(Decimal(str(value)))),)),)
    if not isinstance(value, str) or len(value) > _LONGEST:
        return ()
    text = value.strip()
    readings = []
    for kind, scan in SCANNERS.items():
        spellings = [spelling for spelling, start, end in scan(text) if end - start == len(text)]
        if kind is Kind.NUMBER and spellings:
            # With a unit only the spelling with the unit will do: 5 kg is not 5 m.
            spellings = [max(spellings, key=lambda spelling: " " in spelling)]
        readings += [Reading(((kind, spelling),)) for spelling in spellings]
    return tuple(readings) or _moment(text)


def same_value(first: JsonValue, second: JsonValue) -> bool:
    """Whether two scalars are one value in two spellings; lists and objects only if equal."""
    if isinstance(first, bool) or isinstance(second, bool) or first is None or second is None:
        return first is second
    if isinstance(first, dict | list) or isinstance(second, dict | list):
        return first == second
    one, other = read_value(first), read_value(second)
    if one or other:
        return bool(set(one) & set(other))
    return fold(str(first)) == fold(str(second))


def principal(name: str) -> str:
    """Return the one spelling of somebody's name: the address in ``Kari <kari@example.no>``."""
    addresses = {spelling for spelling, _, _ in find_emails(name)}
    return addresses.pop() if len(addresses) == 1 else fold(name)


def destinations(text: str) -> Iterator[tuple[Kind, tuple[str, ...], str]]:
    """Yield ``(kind, spellings, written)`` of everything in a text that can be sent to, as it
    stands and as it reads without the escapes of Markdown and HTML.

    Dates and amounts with a unit are no account numbers, whatever stands beside them.
    """
    plain = _ESCAPE.sub(lambda found: found[1] or html.unescape(found[2]), text)
    found: dict[tuple[Kind, tuple[str, ...]], str] = {}
    for reading in dict.fromkeys((text, plain)):
        for kind, spellings, start, end in _places(reading):
            found.setdefault((kind, spellings), reading[start:end])
    for (kind, spellings), written in found.items():
        yield kind, spellings, written


def _places(text: str) -> Iterator[tuple[Kind, tuple[str, ...], int, int]]:
    """Yield ``(kind, spellings, start, end)`` of each destination."""
    for kind in (Kind.URL, Kind.EMAIL):
        yield from _together(kind, text)
    masked = list(text)
    for scan in (find_dates, find_times):
        for _, start, end in scan(text):
            masked[start:end] = "|" * (end - start)
    for spelling, start, end in find_numbers(text):
        if " " in spelling:
            masked[start:end] = "|" * (end - start)
    yield from _together(Kind.ACCOUNT, "".join(masked))


def _together(kind: Kind, text: str) -> Iterator[tuple[Kind, tuple[str, ...], int, int]]:
    """Yield each place once, with all of its spellings."""
    places: dict[tuple[int, int], list[str]] = {}
    for spelling, start, end in SCANNERS[kind](text):
        places.setdefault((start, end), []).append(spelling)
    for (start, end), spellings in places.items():
        yield kind, tuple(spellings), start, end


def _moment(text: str) -> tuple[Reading, ...]:
    """Read a date and a time written together."""
    for date, begin, date_end in find_dates(text):
        for time, time_start, end in find_times(text):
            between = text[date_end:time_start].strip(" ,").casefold()
            if begin == 0 and end == len(text) and between in _BETWEEN:
                return (Reading(((Kind.DATE, date), (Kind.TIME, time))),)
    return ()
