"""A bank with a real ledger, a run over it that can be killed at any write, and who resumes it."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from agentkit.audit import AuditLog
from agentkit.guards import Boundary, GuardPipeline, build_pipeline
from agentkit.model.protocol import FinishDelta, ToolCallDelta
from agentkit.model.scripted import ScriptedModel
from agentkit.planner import (
    Approval,
    ApprovalDesk,
    ApprovalRequest,
    Gate,
    Planner,
    RunStore,
    StateFile,
    ToolPolicy,
    TrustedApprover,
)
from agentkit.planner.clock import system_clock
from agentkit.tools import Effect, Tool, ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from agentkit.audit import AuditEvent, Receipt
    from agentkit.messages import JsonObject
    from agentkit.planner import Approver, TurnResult

Result = TypeVar("Result")

RUN = "run-1"
TEXT = "Pay 5 to ola and 7 to kari, then note it."
PAYMENTS = [("kari", 7), ("ola", 5)]
PLAN: list[Any] = [
    [("balance", {}), ("pay", {"to": "ola", "amount": 5}), ("pay", {"to": "kari", "amount": 7})],
    [("note", {"text": "paid both"})],
    "Both are paid.",
]
SCHEMA: dict[str, JsonObject] = {
    "balance": {},
    "pay": {"to": {"type": "string"}, "amount": {"type": "integer"}},
    "note": {"text": {"type": "string"}},
}


class Killed(BaseException):
    """The process is no more."""


@dataclass
class Fate:
    """Counts boundaries and ends everything at the one that was chosen."""

    at: int = -1
    seen: int = 0
    dead: bool = False

    def boundary(self) -> None:
        if self.dead or self.seen == self.at:
            self.dead = True
            raise Killed
        self.seen += 1


class MortalState(StateFile):
    """A state file whose process may die before and after each write."""

    fate: Fate

    async def write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        self.fate.boundary()
        result = await super().write(work)
        self.fate.boundary()
        return result


class MortalLog(AuditLog):
    """An audit log whose process may die before and after each record."""

    fate: Fate

    async def record(self, event: AuditEvent) -> Receipt:
        self.fate.boundary()
        receipt = await super().record(event)
        self.fate.boundary()
        return receipt


@dataclass
class Bank:
    """Payments and notes in a SQLite file of their own, and the tools that write them."""

    path: Path
    crash_in: str = ""

    def __post_init__(self) -> None:
        with closing(self._open()) as connection, connection:
            connection.execute("CREATE TABLE IF NOT EXISTS payments (key, payee, amount)")
            connection.execute("CREATE TABLE IF NOT EXISTS notes (key UNIQUE, text)")

    @property
    def payments(self) -> list[tuple[str, int]]:
        with closing(self._open()) as connection:
            return connection.execute(
                "SELECT payee, amount FROM payments ORDER BY payee"
            ).fetchall()

    @property
    def keys(self) -> list[str]:
        with closing(self._open()) as connection:
            rows = connection.execute("SELECT key FROM payments UNION ALL SELECT key FROM notes")
            return [key for (key,) in rows.fetchall()]

    @property
    def notes(self) -> list[str]:
        with closing(self._open()) as connection:
            return [text for (text,) in connection.execute("SELECT text FROM notes").fetchall()]

    def tools(self) -> tuple[Tool, ...]:
        async def balance(call: ToolCall) -> str:
            return "100"

        async def pay(call: ToolCall) -> str:
            row = (call.idempotency_key, call.arguments["to"], call.arguments["amount"])
            with closing(self._open()) as connection, connection:
                connection.execute("INSERT INTO payments VALUES (?, ?, ?)", row)
            return f"paid {call.arguments['to']}"

        async def note(call: ToolCall) -> str:
            row = (call.idempotency_key, call.arguments["text"])
            with closing(self._open()) as connection, connection:
                connection.execute("INSERT OR IGNORE INTO notes VALUES (?, ?)", row)
            return "noted"

        def declared(function: Any, effect: Any, **more: Any) -> Tool:
            name = function.__name__
            schema: JsonObject = {"type": "object", "properties": SCHEMA[name]}
            return Tool(name, f"{name} it", schema, function, Effect(effect), "trusted", **more)

        return (
            declared(balance, "read"),
            declared(pay, "external"),
            declared(note, "write", idempotent=True),
        )

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=30)


@dataclass
class Honest:
    """Says yes; where a call was interrupted, looks whether the money has gone."""

    bank: Bank
    asked: list[ApprovalRequest] = field(default_factory=list)

    async def decide(self, request: ApprovalRequest) -> Approval:
        self.asked.append(request)
        done = request.decision.rule == "interrupted" and request.arguments is not None
        if done and request.arguments is not None:
            done = any(payee == request.arguments["to"] for payee, _ in self.bank.payments)
        return Approval(approved=not done, approver="kari")


class Follower(ScriptedModel):
    """A model that says the reply that fits how far the conversation has come."""

    def __init__(self, plan: Sequence[Any]) -> None:
        super().__init__([])
        self._plan = plan
        self.generated = 0

    async def generate(self, messages: Any, **options: Any) -> Any:
        self.generated += 1
        done = sum(message.role == "assistant" for message in messages)
        reply = self._plan[done]
        if not isinstance(reply, str):
            calls = [ToolCallDelta(name, arguments) for name, arguments in reply]
            reply = [*calls, FinishDelta("calls")]
        self._rest = [reply]
        async for delta in super().generate(messages, **options):
            yield delta


@dataclass
class World:
    """One folder with its log, its state and its bank; each ``attempt`` is one process."""

    folder: Path
    plan: Sequence[Any] = field(default_factory=lambda: PLAN)
    policies: dict[str, ToolPolicy] = field(
        default_factory=lambda: {"pay": ToolPolicy(approval="ask")}
    )
    approvers: Sequence[TrustedApprover] = ()

    def __post_init__(self) -> None:
        self.bank = Bank(self.folder / "bank.sqlite3")

    @property
    def log(self) -> Path:
        return self.folder / "audit"

    def attempt(self, approver: Approver, fate: Fate | None = None) -> TurnResult:
        """Run the turn in a new process's place; raises what ended it."""
        fate = fate or Fate()
        with self.opened(fate) as (log, state):
            guards = build_pipeline(dict.fromkeys(Boundary, ("secrets",)), timeout_s=30)
            none = GuardPipeline(dict.fromkeys(Boundary, ()), timeout_s=30)
            tools = self.bank.tools()
            planner = Planner(
                model=Follower(self.plan),
                tools=tools,
                gate=Gate(tools, self.policies, guards, none),
                guards=guards,
                log=log,
                state=state,
                desk=ApprovalDesk(state, approvers=self.approvers, approver=approver),
            )

            async def main() -> TurnResult:
                return await planner.run((), TEXT, run_id=RUN, turn=1)

            return anyio.run(main)

    @contextmanager
    def opened(self, fate: Fate) -> Iterator[tuple[AuditLog, StateFile]]:
        state = MortalState.open(self.folder / "state")
        state.fate = fate
        log = MortalLog.open(self.log)
        log.fate = fate
        try:
            yield log, state
        finally:
            log.close()
            state.close()

    def is_done(self) -> bool:
        """Whether the turn was answered."""
        with self.opened(Fate()) as (_, state), state.transaction() as connection:
            rows = RunStore(system_clock).all(connection)
            return bool(rows) and (rows[0].status, rows[0].reason) == ("idle", "answered")
