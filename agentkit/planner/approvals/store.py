"""The store of questions to people, and of their decisions; every method is one step of a write.

What is covered: one open request for each call of a run; a decision is taken in only when it
verifies; it is redeemed once, in the same transaction as whatever it permits, and only while the
call, the run and the policy are those it was signed for. Time limits hold by the time of day and
by the time since boot; where the time of day went back, nothing is redeemed.

What is not covered: after a restart of the machine with a clock set back by less than
``SKEW_MS``, a decision may live that much longer.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from agentkit.audit import canonical_json, digest
from agentkit.audit.canonical import parse_canonical
from agentkit.errors import ApprovalError, StateError
from agentkit.planner.approvals.binding import Binding
from agentkit.planner.approvals.standing import SKEW_MS, OpenRequest, Standing, weigh
from agentkit.planner.approvals.statement import SignedStatement, Statement

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from agentkit.messages import JsonObject
    from agentkit.planner.approvals.keys import ApproverKey, TrustedApprover
    from agentkit.planner.approvals.statement import Word
    from agentkit.planner.clock import Clock

__all__ = ["ApprovalStore"]

_ASK_AGAIN = "let the run ask again: agentkit runs resume"


@dataclass(frozen=True, slots=True)
class ApprovalStore:
    """Requests and decisions in a state file. ``key_of``: an approver's trusted key by name."""

    key_of: Callable[[str], TrustedApprover | None]
    clock: Clock
    lifetime_ms: int

    def open(
        self,
        connection: sqlite3.Connection,
        binding: Binding,
        arguments: JsonObject,
        decision: JsonObject,
        persons: int,
        *,
        anew: bool = False,
    ) -> OpenRequest:
        """Return the open request for a call; one that no longer fits is voided and asked anew.

        ``anew``: an earlier one never fits. Raises ``ApprovalError`` where the call's decision was
        used already.
        """
        now_ms = self._now(connection)
        found = connection.execute(
            "SELECT * FROM requests WHERE run_id = ? AND call_id = ? AND voided = ''",
            (binding.run_id, binding.call_id),
        ).fetchone()
        if found is not None:
            request = self._read(connection, found)
            changed = request.binding.difference(binding)
            if request.redeemed_ms is not None:
                raise ApprovalError(f"the decision for call {binding.call_id} was used already")
            late = self._is_late(request, now_ms)
            if not (changed or late or anew) and request.persons == persons:
                return request
            why = "expired" if late else f"changed: {changed or 'who is asked'}"
            self.void(connection, request.request_id, why)
        request_id = secrets.token_hex(6)
        connection.execute(
            "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, '')",
            (
                request_id,
                binding.run_id,
                binding.call_id,
                binding.tool,
                binding.arguments_sha256,
                binding.policy_sha256,
                canonical_json(arguments),
                canonical_json(decision).decode(),
                persons,
                now_ms,
                self.clock().uptime_ms,
                now_ms + self.lifetime_ms,
            ),
        )
        return self.find(connection, request_id)

    def find(self, connection: sqlite3.Connection, request_id: str) -> OpenRequest:
        """Return a request by its id. Raises ``ApprovalError`` where there is none."""
        found = None
        if request_id.isascii():  # as ids are; SQLite takes no lone surrogate
            found = connection.execute(
                "SELECT * FROM requests WHERE request_id = ?", (request_id,)
            ).fetchone()
        if found is None:
            raise ApprovalError(
                f"there is no request {request_id!r}", cure="see: agentkit approvals list"
            )
        return self._read(connection, found)

    def pending(self, connection: sqlite3.Connection, *, every: bool = False) -> list[OpenRequest]:
        """Return the requests that wait, oldest first; with ``every`` the settled ones too."""
        now_ms = self._now(connection)
        rows = connection.execute("SELECT * FROM requests ORDER BY asked_ms, request_id")
        requests = [self._read(connection, row) for row in rows.fetchall()]
        return [
            request
            for request in requests
            if every or self.standing(request, now_ms).state == "waiting"
        ]

    def standing(self, request: OpenRequest, now_ms: int) -> Standing:
        """Return how a request stands; one that is voided or late is denied.

        One that is used permits nothing any more; whose word it was is still told.
        """
        if request.redeemed_ms is not None:
            said = weigh(request, self.key_of, now_ms)
            people = said.people or tuple(approver for approver, _ in request.given)
            return replace(said, state="used", people=people, changed=None)
        if request.voided:
            return Standing("denied", why=f"it is void ({request.voided})")
        if self._is_late(request, now_ms):
            return Standing("denied", why="it expired")
        return weigh(request, self.key_of, now_ms)

    def stands(
        self, connection: sqlite3.Connection, request_id: str, *, persons: int | None = None
    ) -> Standing:
        """Return how a request stands now. Raises ``ApprovalError``.

        ``persons``: how many the gate requires; None, to show it only: what the store says.
        """
        now_ms = self._now(connection)
        request = self.find(connection, request_id)
        if persons is not None:
            _check_persons(request, persons)
        return self.standing(request, now_ms)

    def decide(
        self,
        connection: sqlite3.Connection,
        request_id: str,
        word: Word,
        key: ApproverKey,
        *,
        comment: str = "",
        changed: JsonObject | None = None,
    ) -> SignedStatement:
        """Sign a word on a request and take it in. Raises ``ApprovalError``."""
        now_ms = self._now(connection)
        request = self.find(connection, request_id)
        signed = Statement(
            request_id,
            request.binding,
            word,
            key.name,
            now_ms,
            request.expires_ms,
            comment,
            changed,
        ).sign(key)
        self.take(connection, signed)
        return signed

    def take(self, connection: sqlite3.Connection, signed: SignedStatement) -> None:
        """Take in a signed decision. Raises ``ApprovalError`` unless it counts from now on."""
        now_ms = self._now(connection)
        try:
            statement = Statement.parse(signed.message)
        except ValueError as error:
            raise ApprovalError(f"this is no decision: {error}") from error
        request = self.find(connection, statement.request_id)
        before = self.standing(request, now_ms)
        if before.state != "waiting":
            raise _settled(f"request {request.request_id} cannot be decided", before)
        trusted = self.key_of(statement.approver)
        if trusted is None:
            raise ApprovalError(
                f"{statement.approver} is no trusted approver of this agent",
                cure="have the operator add the public key at approvals.approvers",
            )
        for approver, _ in request.given:
            earlier = self.key_of(approver)
            if earlier is not None and earlier.who == trusted.who:
                raise ApprovalError(
                    f"{trusted.person} has decided on request {request.request_id} already",
                    cure="another person decides too",
                )
        try:
            signed.verified(trusted.key)
        except ValueError as error:
            raise ApprovalError(f"the decision is not theirs: {error}") from error
        given = ((statement.approver, signed),)
        alone = weigh(replace(request, persons=1, given=given), self.key_of, now_ms)
        if alone.state == "denied" and statement.word != "deny":
            raise ApprovalError(f"the decision does not count: {alone.why}")
        connection.execute(
            "INSERT INTO decisions VALUES (?, ?, ?, ?, ?)",
            (request.request_id, statement.approver, signed.message, signed.signature, now_ms),
        )

    def redeem(
        self, connection: sqlite3.Connection, request_id: str, binding: Binding, persons: int
    ) -> Standing:
        """Use a decision up for the call that ``binding`` describes as it stands now.

        ``persons``: how many the gate requires. Raises ``ApprovalError`` where the decision does
        not permit that call, or no longer.
        """
        now_ms = self._now(connection)
        request = self.find(connection, request_id)
        _check_persons(request, persons)
        changed = request.binding.difference(binding)
        if changed:
            raise ApprovalError(f"what was approved has changed since: {changed}", cure=_ASK_AGAIN)
        standing = self.standing(request, now_ms)
        if standing.state not in {"approved", "changed"}:
            raise _settled(f"request {request_id} permits nothing", standing)
        connection.execute(
            "UPDATE requests SET redeemed_ms = ? WHERE request_id = ?", (now_ms, request_id)
        )
        return standing

    def void(self, connection: sqlite3.Connection, request_id: str, why: str) -> None:
        """Void a request: nobody is asked any more."""
        connection.execute("UPDATE requests SET voided = ? WHERE request_id = ?", (why, request_id))

    def void_run(self, connection: sqlite3.Connection, run_id: str, why: str) -> None:
        """Void every unused request of a run."""
        connection.execute(
            "UPDATE requests SET voided = ? WHERE run_id = ? AND voided = ''"
            " AND redeemed_ms IS NULL",
            (why, run_id),
        )

    def _is_late(self, request: OpenRequest, now_ms: int) -> bool:
        """By either clock; the time since boot begins anew at a restart, and is then no proof."""
        up_ms = self.clock().uptime_ms - request.asked_uptime_ms
        return now_ms >= request.expires_ms or up_ms >= request.expires_ms - request.asked_ms

    def _now(self, connection: sqlite3.Connection) -> int:
        """Return the time of day, never before one seen earlier. Raises ``ApprovalError``."""
        wall_ms = self.clock().wall_ms
        row = connection.execute("SELECT wall_ms FROM clock WHERE id = 1").fetchone()
        seen_ms = row["wall_ms"] if row else wall_ms
        if wall_ms < seen_ms - SKEW_MS:
            raise ApprovalError(
                f"the clock went back by {(seen_ms - wall_ms) / 1000:.0f} s; no approval counts"
                " until it has caught up",
                cure="set the machine's clock right",
            )
        now_ms = max(wall_ms, seen_ms)
        connection.execute("INSERT OR REPLACE INTO clock VALUES (1, ?)", (now_ms,))
        return now_ms

    def _read(self, connection: sqlite3.Connection, row: sqlite3.Row) -> OpenRequest:
        given = connection.execute(
            "SELECT approver, statement, signature FROM decisions WHERE request_id = ?"
            " ORDER BY recorded_ms, approver",
            (row["request_id"],),
        ).fetchall()
        try:
            arguments = parse_canonical(bytes(row["arguments"]))
            decision = parse_canonical(row["decision"].encode())
        except ValueError as error:
            raise StateError(f"request {row['request_id']} is damaged: {error}") from error
        if digest(arguments) != row["arguments_sha256"]:
            # Nobody may be shown other arguments than those they sign for.
            raise StateError(f"the arguments of request {row['request_id']} were tampered with")
        return OpenRequest(
            row["request_id"],
            Binding(
                row["tool"],
                row["arguments_sha256"],
                row["run_id"],
                row["call_id"],
                row["policy_sha256"],
            ),
            cast("JsonObject", arguments),
            cast("JsonObject", decision),
            row["persons"],
            row["asked_ms"],
            row["asked_uptime_ms"],
            row["expires_ms"],
            row["redeemed_ms"],
            row["voided"],
            tuple(
                (one["approver"], SignedStatement(bytes(one["statement"]), bytes(one["signature"])))
                for one in given
            ),
        )


def _check_persons(request: OpenRequest, persons: int) -> None:
    """Hold the file, which others may have rewritten, to the number that the gate requires."""
    if request.persons != persons:
        raise ApprovalError(
            f"request {request.request_id} was rewritten: it says that {request.persons} must"
            f" approve, and the gate requires {persons}",
            cure=_ASK_AGAIN,
        )


def _settled(what: str, standing: Standing) -> ApprovalError:
    """Return the error over a request that no longer takes or gives a decision."""
    if standing.state == "used":
        return ApprovalError(f"{what}: it was used already")
    return ApprovalError(f"{what}: {standing.why or f'it is {standing.state}'}", cure=_ASK_AGAIN)
