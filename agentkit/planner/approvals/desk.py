"""The desk where questions are put to people: opened in the store, asked, weighed, redeemed.

What is covered: where the operator trusts keys, only statements signed with them permit anything,
whoever is asked in this process; where none are configured, the answer of the approver in this
process is *unsigned by configuration*: the desk signs it with a key that lives as long as the
process, so that it is bound, single-use and expiring like any other, and the audit log says so.
Whatever fails here (the store, the clock, the approver) is a no.

What is not covered: who sits in front of an approver in this process, see ``keys``.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import structlog

from agentkit.errors import AgentkitError, ApprovalError
from agentkit.planner.approvals.keys import ApproverKey, TrustedApprover
from agentkit.planner.approvals.request import Approval, ApprovalRequest, Approver, NobodyPresent
from agentkit.planner.approvals.standing import Standing
from agentkit.planner.approvals.statement import Statement
from agentkit.planner.approvals.store import ApprovalStore
from agentkit.planner.clock import system_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentkit.messages import JsonObject
    from agentkit.planner.approvals.binding import Binding
    from agentkit.planner.approvals.statement import SignedStatement, Word
    from agentkit.planner.clock import Clock
    from agentkit.planner.decision import Decision
    from agentkit.planner.state import StateFile

__all__ = ["DAY_S", "ApprovalDesk", "SigningApprover", "trusted_keys"]

DAY_S = 86_400.0

_log = structlog.get_logger(__name__)


class SigningApprover:
    """An approver whose answers are signed with its owner's key; ``inner`` asks the owner."""

    def __init__(self, inner: Approver, key: ApproverKey, *, clock: Clock = system_clock) -> None:
        self._inner = inner
        self._key = key
        self._clock = clock

    async def decide(self, request: ApprovalRequest) -> Approval:
        """Ask, and sign what is answered."""
        approval = await self._inner.decide(request)
        if approval.deferred:
            return approval
        signed = _statement(request, approval, self._key, self._clock)
        return replace(approval, signed=signed)


def trusted_keys(
    approvers: Sequence[TrustedApprover],
) -> Callable[[str], TrustedApprover | None]:
    """Return the look-up of a trusted key by its name."""
    return {one.key.name: one for one in approvers}.get


class ApprovalDesk:
    """Asks on behalf of one agent.

    ``approvers``: the keys the operator trusts; none means that answers are unsigned by
    configuration. ``approver`` is asked in this process. ``lifetime_s``: how long a question,
    and every decision on it, is good.
    """

    def __init__(
        self,
        state: StateFile,
        *,
        approvers: Sequence[TrustedApprover] = (),
        approver: Approver | None = None,
        lifetime_s: float = DAY_S,
        clock: Clock = system_clock,
    ) -> None:
        self._state = state
        self._approver = approver or NobodyPresent()
        self._session = ApproverKey.new("session")
        self._is_signed = bool(approvers)
        self._clock = clock
        self._store = ApprovalStore(
            trusted_keys(approvers) if approvers else self._session_key,
            clock,
            int(lifetime_s * 1000),
        )

    async def ask(self, request: ApprovalRequest) -> tuple[ApprovalRequest, Standing]:
        """Return the request as the store knows it, and how it stands; never raises for a fault."""
        try:
            return await self._ask(request)
        except AgentkitError as error:
            return request, Standing("denied", why=error.message, is_signed=self._is_signed)
        except Exception as error:  # noqa: BLE001 - what cannot be decided is denied
            _log.exception("approval_fault", call_id=request.call_id)
            why = f"asking failed ({type(error).__name__})"
            return request, Standing("denied", why=why, is_signed=self._is_signed)

    def redemption(
        self, request: ApprovalRequest, binding: Binding
    ) -> Callable[[sqlite3.Connection], Standing]:
        """Return the step that uses a decision up, for the transaction of what it permits.

        ``binding``: of the call as it stands at that moment. The step raises ``ApprovalError``.
        """

        def redeem(connection: sqlite3.Connection) -> Standing:
            try:
                return self._store.redeem(connection, request.request_id, binding, request.persons)
            except (AgentkitError, sqlite3.Error):
                raise
            except Exception as error:
                raise ApprovalError(
                    f"the decision could not be checked ({type(error).__name__})"
                ) from error

        return redeem

    async def _ask(self, request: ApprovalRequest) -> tuple[ApprovalRequest, Standing]:
        if request.binding is None or request.arguments is None:
            raise ApprovalError("the request is bound to nothing")
        opened = await self._state.write(
            partial(
                self._store.open,
                binding=request.binding,
                arguments=request.arguments,
                decision=decision_json(request.decision),
                persons=request.persons,
                # An unsigned answer of another process cannot be told from a forged one.
                anew=not self._is_signed,
            )
        )
        request = replace(request, request_id=opened.request_id, expires_ms=opened.expires_ms)
        standing = await self._stands(request)
        if standing.state != "waiting":
            return request, standing
        approval = await self._answer(request)
        if not approval.deferred:
            if not approval.approved and approval.signed is None:
                why = approval.comment or "refused here"
                await self._state.write(
                    partial(self._store.void, request_id=request.request_id, why=why)
                )
                return request, self._refused(approval)
            signed = approval.signed
            if signed is None:
                if self._is_signed:
                    raise ApprovalError(
                        f"the answer of {approval.approver or 'the approver'} is not signed, and"
                        " this agent takes signed approvals only"
                    )
                key = ApproverKey(approval.approver or "unnamed", self._session.private)
                signed = _statement(request, approval, key, self._clock)
            await self._state.write(partial(self._store.take, signed=signed))
            standing = await self._stands(request)
        if standing.state == "waiting" and not self._state.is_durable:
            why = approval.comment or "more people must approve, and nobody else can be asked"
            return request, Standing("denied", why=why, is_signed=self._is_signed)
        return request, standing

    async def _answer(self, request: ApprovalRequest) -> Approval:
        try:
            return await self._approver.decide(request)
        except Exception as error:  # noqa: BLE001 - no answer is a no
            _log.exception("approver_failed", call_id=request.call_id)
            return Approval(
                approved=False, approver="", comment=f"the approver failed ({type(error).__name__})"
            )

    async def _stands(self, request: ApprovalRequest) -> Standing:
        standing = await self._state.write(
            partial(self._store.stands, request_id=request.request_id, persons=request.persons)
        )
        if standing.state == "used":
            raise ApprovalError(f"the decision for call {request.call_id} was used already")
        return replace(standing, is_signed=self._is_signed)

    def _refused(self, approval: Approval) -> Standing:
        people = (approval.approver,) if approval.approver else ()
        return Standing("denied", people, approval.comment, is_signed=self._is_signed)

    def _session_key(self, name: str) -> TrustedApprover:
        return TrustedApprover(ApproverKey(name, self._session.private).verifier, name)


def decision_json(decision: Decision) -> JsonObject:
    """Return a decision as the store keeps it, values and all: people must see them."""
    return {
        "rule": decision.rule,
        "reason": decision.reason,
        "cure": decision.cure,
        "evidence": [
            {"path": item.path, "value": item.value, "origin": item.origin}
            for item in decision.evidence
        ],
    }


def _statement(
    request: ApprovalRequest, approval: Approval, key: ApproverKey, clock: Clock
) -> SignedStatement:
    if request.binding is None:
        raise ApprovalError("the request is bound to nothing")
    changed = approval.changed if approval.approved else None
    word: Word = "deny" if not approval.approved else "approve" if changed is None else "change"
    return Statement(
        request.request_id,
        request.binding,
        word,
        key.name,
        clock().wall_ms,
        request.expires_ms,
        approval.comment,
        changed,
    ).sign(key)
