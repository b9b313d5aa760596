"""The limits of one agent over one store: asked before anything is spent.

What is covered: calls and money before a call runs, tokens before the model reads, wall time
before a turn begins. Tokens and wall time are reserved by what they may become at most and settled
to what they became; a process that dies, and a model call that ends early, leave their reservation
standing until the window has passed. A backend that does not say what it used is counted by the
most that it can have used. A store that fails denies.

What is not covered: a call that was counted and then refused by a person stays counted.
"""

from __future__ import annotations

import math
import re
import time
import unicodedata
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import anyio.to_thread

from agentkit.errors import BackendRefused, TurnStopped
from agentkit.planner.decision import Decision, Evidence, Outcome
from agentkit.planner.provenance import leaves
from agentkit.planner.spending.limit import SECOND_UNIT, Kind, Per, shown_amount
from agentkit.planner.spending.money import MoneyFrom, UnreadableMoney
from agentkit.planner.spending.store import Grant, Refusal, SpendingStore, StoreFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from agentkit.messages import ToolCallPart
    from agentkit.planner.spending.limit import Charge, Limit

__all__ = ["Hold", "Spending", "ToolSpending"]

RATE = "rate"
BUDGET = "budget"


@dataclass(frozen=True, slots=True)
class ToolSpending:
    """What the operator declares of one tool: where its money and its destinations stand."""

    money: MoneyFrom | None = None
    destination: frozenset[str] = frozenset()


@dataclass(slots=True)
class Hold:
    """A reservation. ``granted``: how much of what was wanted may be used. ``used``: how much was,
    None as long as nothing tells.
    """

    granted: int
    grant: Grant = field(default_factory=Grant)
    used: int | None = None


@dataclass(frozen=True, slots=True)
class Spending:
    """All limits that one agent stands under, for one user."""

    limits: tuple[Limit, ...] = ()
    store: SpendingStore = field(default_factory=SpendingStore)
    agent: str = "agent"
    user: str = "user"
    tools: Mapping[str, ToolSpending] = field(default_factory=lambda: MappingProxyType({}))

    async def check_call(self, call: ToolCallPart) -> Decision:
        """Count one call, and allow it; or count nothing and deny it."""
        try:
            charges = self._charges(call)
        except UnreadableMoney as unreadable:
            return Decision(
                Outcome.DENY,
                BUDGET,
                f"{call.name} is under a money budget, and {unreadable}",
                "give a plain amount in a currency that has a budget",
                (Evidence("$", str(unreadable), "model"),),
            )
        if not charges:
            return Decision(Outcome.ALLOW, RATE, "no limit covers the call")
        try:
            taken = await anyio.to_thread.run_sync(self.store.take, charges)
        except StoreFailed as failed:
            return Decision(Outcome.DENY, BUDGET, failed.message, failed.cure)
        if isinstance(taken, Refusal):
            return _refused(taken, call.name)
        return Decision(Outcome.ALLOW, RATE, "within the limits")

    async def reserve_tokens(self, minimum: int, wanted: int) -> Hold:
        """Reserve between ``minimum`` and ``wanted`` tokens. Raises ``TurnStopped``."""
        return await self._reserve(Kind.TOKENS, minimum, wanted)

    @asynccontextmanager
    async def model_call(self, prompt: int, wanted: int) -> AsyncIterator[Hold]:
        """Hold the tokens of one model call: of a prompt, and up to ``wanted`` of its reply.

        At the end ``Hold.used`` counts. A call that ended early, and whose use nothing tells, stays
        counted as it was reserved; one that the backend did not take used nothing. Raises
        ``TurnStopped``.
        """
        hold = await self.reserve_tokens(prompt + 1, prompt + wanted)
        try:
            yield hold
        except BackendRefused:
            hold.used = 0
            raise
        finally:
            if hold.used is not None:
                with anyio.CancelScope(shield=True):
                    await self.settle(hold, hold.used)

    async def settle(self, hold: Hold, used: int) -> None:
        """Count what was used in place of what was reserved. Raises ``TurnStopped``."""
        if hold.grant.rows:
            try:
                await anyio.to_thread.run_sync(self.store.settle, hold.grant, used)
            except StoreFailed as failed:
                raise _stopped(failed.message, failed.cure) from failed

    @asynccontextmanager
    async def wall_time(self, wanted_s: float) -> AsyncIterator[float]:
        """Reserve seconds for a turn and yield how many it may take. Raises ``TurnStopped``."""
        wanted = math.ceil(wanted_s * SECOND_UNIT)
        hold = await self._reserve(Kind.WALL, min(wanted, SECOND_UNIT), wanted)
        begun = time.monotonic()
        try:
            yield wanted_s if hold.granted == wanted else hold.granted / SECOND_UNIT
        finally:
            used = math.ceil((time.monotonic() - begun) * SECOND_UNIT)
            with anyio.CancelScope(shield=True):
                await self.settle(hold, min(used, hold.granted))

    async def _reserve(self, kind: Kind, minimum: int, wanted: int) -> Hold:
        names = {Per.AGENT: self.agent, Per.USER: self.user}
        charges = [
            limit.charge(wanted, names, minimum=minimum)
            for limit in self.limits
            if limit.kind is kind
        ]
        if not charges:
            return Hold(wanted)
        try:
            taken = await anyio.to_thread.run_sync(self.store.take, charges)
        except StoreFailed as failed:
            raise _stopped(failed.message, failed.cure) from failed
        if isinstance(taken, Refusal):
            raise _stopped(_spent_text(taken), _cure(taken))
        return Hold(min(taken.amounts), taken)

    def _charges(self, call: ToolCallPart) -> list[Charge]:
        found: list[Charge] = []
        counted = [one for one in self.limits if one.covers(call.name) and one.kind is Kind.CALLS]
        for limit in counted:
            found.extend(limit.charge(1, names) for names in self._names(limit, call))
        money = [one for one in self.limits if one.covers(call.name) and one.kind is Kind.MONEY]
        if not money:
            return found
        declared = self.tools.get(call.name, ToolSpending()).money
        if declared is None:
            if any(limit.tools is not None for limit in money):
                raise UnreadableMoney("it does not say where its amount stands")
            return found  # a limit on all money does not concern a tool that moves none
        amount, currency = declared.read(call.arguments)
        fitting = [limit for limit in money if limit.currency == currency]
        if not fitting:
            raise UnreadableMoney(f"no budget is stated in {currency[:8]}")
        for limit in fitting:
            found.extend(limit.charge(amount, names) for names in self._names(limit, call))
        return found

    def _names(self, limit: Limit, call: ToolCallPart) -> list[dict[Per, str]]:
        """Return for whom a call counts: once, or once for each of its destinations."""
        names = {Per.AGENT: self.agent, Per.USER: self.user, Per.TOOL: call.name}
        if Per.DESTINATION not in limit.per:
            return [names]
        parameters = self.tools.get(call.name, ToolSpending()).destination
        reached = {
            _spelled(str(value))
            for parameter in parameters
            for _, value in leaves(call.arguments.get(parameter))
        }
        return [{**names, Per.DESTINATION: one} for one in sorted(reached) or [""]]


def _spelled(destination: str) -> str:
    """Return the one spelling under which a destination is counted: without spaces, dashes and
    characters nobody sees, and an account without dots.
    """
    text = unicodedata.normalize("NFKC", destination).lower()
    seen = [char for char in text if unicodedata.category(char)[0] not in "ZC"]
    plain = "".join(char for char in seen if unicodedata.category(char) != "Pd")
    digits = plain.replace(".", "")
    is_account = digits.lstrip("+").isalnum() and 2 * sum(map(str.isdigit, digits)) > len(digits)
    return re.sub(r"^00", "+", digits) if is_account else plain


def _refused(refusal: Refusal, tool: str) -> Decision:
    rule = RATE if refusal.charge.limit.kind is Kind.CALLS else BUDGET
    return Decision(Outcome.DENY, rule, f"{tool}: {_spent_text(refusal)}", _cure(refusal))


def _spent_text(refusal: Refusal) -> str:
    limit, charge = refusal.charge.limit, refusal.charge
    window = "" if limit.window_s is None else f" in {limit.window_s:g} s"
    return (
        f"{limit.limit_id} allows {shown_amount(limit, limit.cap)}{window}; "
        f"{shown_amount(limit, refusal.spent)} are spent and "
        f"{shown_amount(limit, charge.minimum)} wanted"
    )


def _cure(refusal: Refusal) -> str:
    limit_id = refusal.charge.limit.limit_id
    if refusal.wait_s is None:
        return f"ask for less, or have the operator raise {limit_id}"
    return f"wait {math.ceil(refusal.wait_s)} s, or have the operator raise {limit_id}"


def _stopped(message: str, cure: str) -> TurnStopped:
    return TurnStopped(message, reason=BUDGET, cure=cure)
