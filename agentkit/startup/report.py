"""What startup found: one line for each check, for people, programs and the audit log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentkit.licensing import LicenceDecision
    from agentkit.messages import JsonObject

__all__ = ["StartupCheck", "StartupObserver", "StartupReport", "ignore_check"]


@dataclass(frozen=True, slots=True)
class StartupCheck:
    """One check that passed. ``detail``: what was found, in one phrase."""

    name: str
    detail: str
    elapsed_s: float

    def to_json(self) -> JsonObject:
        """Return the check as the audit log and ``--json`` show it."""
        return {"check": self.name, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class StartupReport:
    """All checks, in order, and the licence decisions they rest on."""

    agent: str
    spec_sha256: str
    checks: tuple[StartupCheck, ...]
    decisions: tuple[LicenceDecision, ...]

    @property
    def notices(self) -> tuple[str, ...]:
        """Texts that the licences want shown where users meet the product."""
        return tuple(
            dict.fromkeys(
                notice for decision in self.decisions for notice in decision.required_notices
            )
        )


StartupObserver = Callable[[StartupCheck], None]


def ignore_check(check: StartupCheck) -> None:
    """Observe nothing."""
