"""The licences this room decides over: what each one asks, as data, with its source.

A licence's id is the tag that model hubs use (``llama4``, ``apache-2.0``). Facts that differ
between versions of one licence stand here; the rules that read them stand in ``rules_*.py``.

Sources: ``models/*/LICENSE`` and ``USE_POLICY.md`` in meta-llama/llama-models; ``LICENSE`` in
meta-llama/llama3; ``LICENSE-MODEL`` in deepseek-ai/DeepSeek-V3; apache.org; opensource.org.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from agentkit.licensing.acceptable_use import PolicyTopic

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "LICENCES",
    "TABLE_DATE",
    "Family",
    "Licence",
    "LlamaTerms",
    "find_licence",
    "nearest_licence",
]

TABLE_DATE = date(2026, 11, 22)  # the day the texts were last read

_SOURCE = "https://github.com/meta-llama/llama-models/blob/main/models"

# Each policy's numbering of the topics in ``acceptable_use``. 3.1 has bullets in place of numbers
# (Llama 2 is cited by words as well); Llama 2 to 3.1 say nothing of circumventing safety measures.
_BULLETS = (
    (PolicyTopic.PROFESSIONAL_PRACTICE, "unlicensed practice of any profession"),
    (PolicyTopic.SENSITIVE_DATA, "sensitive personal or private information"),
    (PolicyTopic.MILITARY, "military, warfare, nuclear industries"),
    (PolicyTopic.INFRASTRUCTURE, "critical infrastructure, transportation, heavy machinery"),
    (PolicyTopic.HUMAN_CLAIM, "outputs are human-generated"),
    (PolicyTopic.DISCLOSURE, "known dangers of your AI system"),
)
_LETTERS = (
    (PolicyTopic.PROFESSIONAL_PRACTICE, "1.d"),
    (PolicyTopic.SENSITIVE_DATA, "1.e"),
    (PolicyTopic.MILITARY, "2.a"),
    (PolicyTopic.INFRASTRUCTURE, "2.d"),
    (PolicyTopic.HUMAN_CLAIM, "3.e"),
    (PolicyTopic.DISCLOSURE, "3.g"),
)


def _numbers(military: str, infrastructure: str, human: str, disclosure: str) -> _Clauses:
    return (
        (PolicyTopic.PROFESSIONAL_PRACTICE, "1.4"),
        (PolicyTopic.SENSITIVE_DATA, "1.5"),
        (PolicyTopic.SAFEGUARDS, "1.8"),
        (PolicyTopic.MILITARY, military),
        (PolicyTopic.INFRASTRUCTURE, infrastructure),
        (PolicyTopic.HUMAN_CLAIM, human),
        (PolicyTopic.DISCLOSURE, disclosure),
    )


_Clauses = tuple[tuple[PolicyTopic, str], ...]


class Family(StrEnum):
    """Licences that share their rules."""

    LLAMA = "llama"
    PERMISSIVE = "permissive"
    USE_RESTRICTED = "use_restricted"


@dataclass(frozen=True, slots=True)
class LlamaTerms:
    """What differs between the versions of Meta's community licence.

    ``display``: the text to show, empty where the version asks for none. ``name_prefix``: how the
    name of an improved model must begin, empty for no such rule. ``bars_improving_others``: 1.b.v.
    ``eu_clause``: the policy withholds multimodal models from the European Union.
    """

    version: str
    released: date
    display: str
    name_prefix: str
    notice: str
    bars_improving_others: bool
    eu_clause: bool

    @property
    def users_month(self) -> str:
        """The calendar month whose monthly active users section 2 counts, as ``2025-03``."""
        year, month = self.released.year, self.released.month - 1
        return f"{year}-{month:02d}" if month else f"{year - 1}-12"


@dataclass(frozen=True, slots=True)
class Licence:
    """One licence. ``text_sha256``: of its canonical text file, None where publishers vary it or
    the bytes were not at hand. ``policy``: title of its acceptable use policy, empty for none.
    """

    licence_id: str
    title: str
    family: Family
    source: str
    text_sha256: str | None = None
    policy: str = ""
    policy_clauses: _Clauses = ()
    llama: LlamaTerms | None = None


def _llama(
    folder: str,
    tag: str,
    released: date,
    clauses: _Clauses,
    *,
    eu_clause: bool,
    meta: str = "",
    display: str = "Built with Llama",
    name_prefix: str = "Llama",
    bars_improving_others: bool = False,
    community: str = "",
    mark: str = "©",
) -> Licence:
    version = f"{meta}Llama {tag}"
    title = f"{community or version} Community License"
    return Licence(
        f"llama{tag}",
        title,
        Family.LLAMA,
        f"{_SOURCE}/{folder}/LICENSE",
        policy=f"{version} Acceptable Use Policy",
        policy_clauses=clauses,
        llama=LlamaTerms(
            version,
            released,
            display,
            name_prefix,
            f"{version} is licensed under the {title}, Copyright {mark} Meta Platforms, Inc. "
            "All Rights Reserved.",
            bars_improving_others,
            eu_clause,
        ),
    )


_ALL = (
    _llama(
        "llama2",
        "2",
        date(2023, 7, 18),
        _BULLETS,
        eu_clause=False,
        display="",
        name_prefix="",
        bars_improving_others=True,
        community="LLAMA 2",
        mark="(c)",
    ),
    _llama(
        "llama3",
        "3",
        date(2024, 4, 18),
        _LETTERS,
        eu_clause=False,
        meta="Meta ",
        display="Built with Meta Llama 3",
        name_prefix="Llama 3",
        bars_improving_others=True,
    ),
    _llama("llama3_1", "3.1", date(2024, 7, 23), _BULLETS, eu_clause=False),
    _llama(
        "llama3_2",
        "3.2",
        date(2024, 9, 25),
        _numbers("2.8", "2.11", "3.18", "4"),
        eu_clause=True,
    ),
    _llama(
        "llama3_3", "3.3", date(2024, 12, 6), _numbers("2.1", "2.4", "3.5", "4"), eu_clause=True
    ),
    _llama("llama4", "4", date(2025, 4, 5), _numbers("3.1", "3.4", "4.5", "5"), eu_clause=True),
    Licence(
        "apache-2.0",
        "Apache License 2.0",
        Family.PERMISSIVE,
        "https://www.apache.org/licenses/LICENSE-2.0.txt",
        text_sha256="cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
    ),
    Licence("mit", "MIT License", Family.PERMISSIVE, "https://opensource.org/license/mit"),
    Licence(
        "openmdw-1.1", "OpenMDW License Agreement 1.1", Family.PERMISSIVE, "https://openmdw.ai"
    ),
    Licence(
        "deepseek-1.0",
        "DeepSeek License Agreement 1.0",
        Family.USE_RESTRICTED,
        "https://github.com/deepseek-ai/DeepSeek-V3/blob/main/LICENSE-MODEL",
        policy="DeepSeek License Agreement 1.0, Attachment A",
        policy_clauses=(
            (PolicyTopic.SENSITIVE_DATA, "personal identifiable information"),
            (PolicyTopic.MILITARY, "military use in any way"),
        ),
    ),
)

LICENCES: Mapping[str, Licence] = MappingProxyType({item.licence_id: item for item in _ALL})


def find_licence(stated: str) -> Licence | None:
    """Return the licence of this id, whatever its case; None where the table has none."""
    return LICENCES.get(stated.strip().casefold())


def nearest_licence(stated: str) -> str:
    """Return the id that was probably meant, empty where none is close."""
    close = difflib.get_close_matches(stated.strip().casefold(), LICENCES, n=1)
    return close[0] if close else ""
