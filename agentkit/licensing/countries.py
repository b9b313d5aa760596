"""Where a country stands towards the European Union: a frozen, dated, cited table.

No library gets this right for licences (codes of EU territories, the aliases EL and UK, the
countries that are *near* the Union but not in it), so the table stands here and the tests check
its member states against python-stdnum.

Sources: ISO 3166-1 alpha-2; Treaty on European Union, art. 52; Treaty on the Functioning of the
European Union, art. 349 and 355 (territories); Agreement on the European Economic Area, art. 126;
the EU's interinstitutional style guide, 7.1.1 (EL). A country is always *stated* by the operator,
never inferred from an address, a language or a name.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from types import MappingProxyType

from agentkit.errors import SpecError

__all__ = [
    "COUNTRY_TABLE_DATE",
    "EEA_ONLY",
    "EU_MEMBER_STATES",
    "EU_TERRITORIES",
    "ISO_CODES",
    "NOT_EU",
    "Domain",
    "Zone",
    "domain",
    "parse_country",
]

COUNTRY_TABLE_DATE = date(2026, 11, 22)


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


EU_MEMBER_STATES = _codes(
    "AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE"
)

# Parts of the Union that have a code of their own. IC (Canary Islands) and EA (Ceuta, Melilla) are
# not ISO countries but codes that ISO reserves and registers use.
EU_TERRITORIES = _codes("AX GP MQ GF RE YT MF IC EA")

# Belongs to a member state or to Norway, or looks like it, and is outside the Union all the same.
NOT_EU = _codes("SJ GL FO NC PF PM WF BL AW CW SX BQ")

EEA_ONLY = frozenset({"NO", "IS", "LI"})

ISO_CODES = _codes(
    """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS
    BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE
    EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM
    HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC
    LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA
    NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW
    SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO
    TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
    """
)

_ALIASES = MappingProxyType({"EL": "GR", "UK": "GB"})

# Only ever a suggestion in an error: a name is ambiguous, a code is not.
_NAMES = MappingProxyType(
    {
        name: code
        for code, names in {
            "AT": "austria österreich",
            "BE": "belgium belgië belgique",
            "BG": "bulgaria българия",
            "CA": "canada",
            "CH": "switzerland schweiz suisse svizzera",
            "CN": "china",
            "CY": "cyprus κύπρος",
            "CZ": "czechia česko",
            "DE": "germany deutschland tyskland ger deu",
            "DK": "denmark danmark",
            "EE": "estonia eesti",
            "ES": "spain españa",
            "FI": "finland suomi",
            "FO": "føroyar faroes",
            "FR": "france",
            "GB": "britain england scotland wales xi",
            "GL": "greenland grønland kalaallit",
            "GR": "greece ελλάδα hellas",
            "HR": "croatia hrvatska",
            "HU": "hungary magyarország",
            "IE": "ireland éire irland",
            "IN": "india",
            "IS": "iceland ísland island",
            "IT": "italy italia",
            "JP": "japan",
            "LI": "liechtenstein",
            "LT": "lithuania lietuva",
            "LU": "luxembourg luxemburg",
            "LV": "latvia latvija",
            "MT": "malta",
            "NL": "netherlands nederland holland",
            "NO": "norway norge noreg norga nor nn nb",
            "PL": "poland polska",
            "PT": "portugal",
            "RO": "romania românia",
            "SE": "sweden sverige swe",
            "SI": "slovenia slovenija",
            "SJ": "svalbard",
            "SK": "slovakia slovensko",
            "UA": "ukraine україна",
            "US": "usa america",
        }.items()
        for name in names.split()
    }
)


class Zone(StrEnum):
    """Where a country stands."""

    EU = "eu"  # a member state or a territory that is part of the Union
    EEA = "eea"  # in the European Economic Area, not in the Union: NO, IS, LI
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Domain:
    """The zone of one stated country. ``table_date``: the day this table was last read."""

    country: str | None
    zone: Zone
    table_date: date = COUNTRY_TABLE_DATE


def parse_country(text: str) -> str:
    """Return the ISO 3166-1 alpha-2 code that ``text`` states, aliases resolved (EL, UK).

    SpecError for anything else, names included, with the code that was probably meant.
    """
    stated = text.strip().upper()
    code = _ALIASES.get(stated, stated)
    if code in ISO_CODES or code in EU_TERRITORIES:
        return code
    raise SpecError(f"{text.strip()!r} is no country code", cure=_suggestion(text))


def domain(country: str | None) -> Domain:
    """Return where ``country`` stands; None is UNKNOWN. SpecError for what is no country code."""
    if country is None:
        return Domain(None, Zone.UNKNOWN)
    code = parse_country(country)
    if code in EU_MEMBER_STATES or code in EU_TERRITORIES:
        return Domain(code, Zone.EU)
    return Domain(code, Zone.EEA if code in EEA_ONLY else Zone.OTHER)


def _suggestion(text: str) -> str:
    words = text.casefold().replace(",", " ").split() or [""]
    if "EU" in text.upper().split():
        return "the Union is no country; state the member state, such as DE or FR"
    for word in words:
        close = difflib.get_close_matches(word, _NAMES, n=1, cutoff=0.8)
        if close:
            return f"did you mean {_NAMES[close[0]]}? State an ISO 3166-1 alpha-2 code"
    return "state an ISO 3166-1 alpha-2 code such as NO, DE or US, or leave it out if unknown"
