"""From proposed calls to results: permit, record the intent, run, record the outcome, guard.

All calls of a reply are ruled over and asked about first, one after the other; where people have to
decide first, none of them runs yet; those that may run then run side by side. Results are matched
to calls by call id, never by the order of finishing.

What is covered: a call's start is in the journal, and the decision that permits it is used up in
the same write, before its intent is audited and before its function is called; the arguments are
hashed again for that. A start without an outcome is an effect that may have happened.

What is not covered: what a function does after it was cancelled, or when it ignores its key.
"""

from __future__ import annotations

import hashlib
import json
import time
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import anyio
import structlog

from agentkit.errors import AgentkitError, ApprovalError, RunSuspended, StateError, ToolError
from agentkit.guards import Action, Boundary, GuardContext
from agentkit.labels import Integrity
from agentkit.messages import ToolCallPart, ToolResultPart
from agentkit.planner.decision import Decision, Outcome, Ruling
from agentkit.planner.events import CallFinished, ContentJudged
from agentkit.planner.permission import Circumstances, Permit, Refusal, Waiting
from agentkit.planner.programs import Program
from agentkit.planner.runs.wire import CallOutcome, CallResult, Started
from agentkit.tools.declaration import ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agentkit.guards import GuardPipeline
    from agentkit.messages import Message
    from agentkit.planner.commitment import Commitment
    from agentkit.planner.events import Observer
    from agentkit.planner.permission import PermissionRoom
    from agentkit.planner.record import Recorder
    from agentkit.planner.runs import Journal
    from agentkit.tools.declaration import Tool

__all__ = ["CallRoom", "Settled"]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Settled:
    """The results of one reply's calls, in the calls' order. ``suspect``: a guard found signs of
    injection in one of them. ``admitted``: every call of the turn that might run so far. ``notes``:
    what approvers said of calls they changed.
    """

    results: tuple[ToolResultPart, ...]
    suspect: bool
    admitted: tuple[ToolCallPart, ...] = ()
    notes: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class CallRoom:
    """Everything that stands between a proposed call and its result."""

    tools: Mapping[str, Tool]
    permission: PermissionRoom
    guards: GuardPipeline
    journal: Journal
    recorder: Recorder
    observe: Observer
    take_calls: Callable[[int], None]
    ruling: anyio.Lock = field(default_factory=anyio.Lock)

    async def settle(
        self,
        calls: Sequence[ToolCallPart],
        conversation: Sequence[Message],
        *,
        commitment: Commitment,
        admitted: tuple[ToolCallPart, ...],
        suspect: bool,
    ) -> Settled:
        """Rule over the calls and run those that may run, after those ``admitted`` before them.
        Calls that a program makes are admitted in between.

        Raises ``RunSuspended`` where people have to decide, ``AuditError``, ``StateError`` and
        ``SandboxError``: without a log, a journal or a wall nothing goes on.
        """
        around = Circumstances(conversation, commitment, admitted, suspect)
        return await self._settle(calls, around, [*admitted])

    async def _settle(
        self, calls: Sequence[ToolCallPart], around: Circumstances, ledger: list[ToolCallPart]
    ) -> Settled:
        """Settle calls of a reply, or one of a program. ``ledger``: all calls of the turn that were
        admitted, shared with its programs; a call stands there before it starts, so that nothing
        that ends it early drops it.
        """
        permitted = await self._permitted(calls, around, ledger)
        failures: list[AgentkitError] = []
        suspects: list[str] = []

        async def settle_one(call: ToolCallPart, before: Sequence[Message]) -> ToolResultPart:
            await self._same_as_before(call)
            self.take_calls(1)
            suspect = around.suspect or bool(suspects)
            inner = replace(around, conversation=before, suspect=suspect)
            settled = await self._settle((call,), inner, ledger)
            if settled.suspect:
                suspects.append(call.call_id)
            return settled.results[0]

        async def carry_out(call: ToolCallPart, permit: Permit) -> None:
            try:
                program = Program(permit.call, around.conversation, settle_one)
                await self._run(call, permit, program, ledger)
            except AgentkitError as error:
                failures.append(error)

        async with anyio.create_task_group() as group:
            for call, permit in permitted:
                group.start_soon(carry_out, call, permit)
        if failures:
            raise failures[0]
        kept = [self._kept(call) for call in calls]
        return Settled(
            tuple(result.part for result in kept),
            around.suspect or bool(suspects) or any(result.suspect for result in kept),
            tuple(ledger),
            tuple(result.note for result in kept if result.note is not None),
        )

    async def _permitted(
        self, calls: Sequence[ToolCallPart], around: Circumstances, ledger: list[ToolCallPart]
    ) -> list[tuple[ToolCallPart, Permit]]:
        """Return the calls that may run now; they are in the ledger, and the refused are settled.

        Programs that run side by side are ruled over one at a time: each ruling counts the last.
        Raises ``RunSuspended`` with every open question.
        """
        permitted: list[tuple[ToolCallPart, Permit]] = []
        waiting: list[str] = []
        async with self.ruling:
            for call in calls:
                kept = self.journal.recall(f"{call.call_id}/result")
                if isinstance(kept, CallResult):
                    ledger.extend(kept.admitted)
                else:
                    found = await self.permission.permit(
                        call, replace(around, admitted=tuple(ledger))
                    )
                    ledger.extend(await self._sort(call, found, permitted, waiting))
        if waiting:
            raise RunSuspended(self.recorder.run_id, tuple(waiting))
        return permitted

    async def _same_as_before(self, call: ToolCallPart) -> None:
        """Hold a program that runs again after an interruption to the calls it made before."""
        key = f"{call.call_id}/made"
        spelled = json.dumps([call.name, call.arguments], sort_keys=True)
        made = hashlib.sha256(spelled.encode()).hexdigest()
        before = self.journal.recall(key)
        if before is None:
            await self.journal.keep(key, made)
        elif before != made:
            raise StateError(
                f"the program made another call {call.call_id} than before it was interrupted",
                cure="cancel the run (agentkit runs cancel) and look at what it did",
            )

    async def _sort(
        self,
        call: ToolCallPart,
        found: Permit | Refusal | Waiting,
        permitted: list[tuple[ToolCallPart, Permit]],
        waiting: list[str],
    ) -> tuple[ToolCallPart, ...]:
        """Put a call where it belongs; return it where it has to be counted as admitted."""
        match found:
            case Permit():
                permitted.append((call, found))
                return (found.call,)
            case Waiting():
                waiting.append(found.request_id)
                return (call,)
            case Refusal():
                await self._refuse(call, found)
                return (call,) if found.unknown else ()

    async def _refuse(self, call: ToolCallPart, refusal: Refusal) -> None:
        part = _refused(call, refusal)
        if refusal.unknown:
            await self.recorder.outcome(call, "unknown", part.text)
        admitted = (call,) if refusal.unknown else ()
        await self._keep(
            call, CallResult(part, suspect=False, admitted=admitted, note=refusal.note)
        )
        self.observe(CallFinished(call, part, ran=False, elapsed_s=0.0))

    async def _run(
        self,
        proposed: ToolCallPart,
        permit: Permit,
        program: Program,
        ledger: Sequence[ToolCallPart],
    ) -> None:
        """Run a permitted call, which an approver may have changed, and keep its result.

        ``ledger``: all calls of the turn that were admitted, filled while programs make more.
        """
        call, start = permit.call, time.perf_counter()
        outcome = self.journal.recall(f"{call.call_id}/outcome")
        if outcome is None:
            try:
                await self._start(permit)
            except ApprovalError as error:
                decision = Decision(Outcome.DENY, "approval", error.message, error.cure)
                await self.recorder.ruled(call, Ruling((decision,)), self.permission.gate.digest)
                await self._refuse(proposed, Refusal(decision, note=permit.note))
                return
            outcome = await self._execute(call, program)
        else:
            # The crash may have come between the journal and the audit log.
            await self.recorder.outcome(call, outcome.status, outcome.text)
        # The model is answered under the id that it knows, whatever an approver changed.
        answered = replace(call, call_id=proposed.call_id)
        part, suspect = await self._guarded(answered, outcome, program, permit.note)
        made = [inner for inner in ledger if inner.call_id.startswith(f"{call.call_id}.")]
        await self._keep(proposed, CallResult(part, suspect, (call, *made), permit.note))
        elapsed_s = time.perf_counter() - start
        self.observe(CallFinished(proposed, part, ran=True, elapsed_s=elapsed_s))

    async def _start(self, permit: Permit) -> None:
        """Write that the call starts. Raises ``ApprovalError`` where its decision does not hold."""
        if not permit.start_key:
            return
        redeem = None
        if permit.request is not None:
            binding = self.permission.binding(permit.call, permit.request.call_id)
            redeem = self.permission.desk.redemption(permit.request, binding)
        started = Started(self.permission.gate.digest)
        try:
            await self.journal.keep(permit.start_key, started, redeem=redeem)
        except StateError as error:
            decision = Decision(Outcome.DENY, "journal", error.message, error.cure)
            await self.recorder.ruled(permit.call, Ruling((decision,)), started.policy_sha256)
            raise

    async def _execute(self, call: ToolCallPart, program: Program) -> CallOutcome:
        tool = self.tools[call.name]
        await self.recorder.intent(call, tool.effect.value)
        key = hashlib.sha256(f"{self.recorder.run_id}\0{call.call_id}".encode()).hexdigest()
        status, text = "cancelled", ""
        try:
            with self.recorder.timings.room("tool"):
                arguments = deepcopy(call.arguments)  # what was ruled over stays as it was
                functions = program.functions(self.tools) if tool.runs_programs else {}
                tainted = _is_tainted(program.asked)
                returned = await tool.function(
                    ToolCall(call.call_id, arguments, key, functions, tainted=tainted)
                )
                text = _plain_text(call.name, returned)
            status = "ok"
        except ToolError as error:
            status, text = "error", _plain_text(call.name, error.message)
        except AgentkitError as error:
            status, text = "failed", error.message
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a tool's defect is told and logged
            _log.exception("tool_failed", tool=call.name, call_id=call.call_id)
            status, text = "error", f"{call.name} failed: {type(error).__name__}"
        finally:
            outcome = CallOutcome(status, text)
            with anyio.CancelScope(shield=True):
                if program.suspended is None:
                    await self._ended(call, outcome)
                else:
                    await self.recorder.outcome(call, "suspended", "")
        if program.suspended is not None:
            raise program.suspended
        return outcome

    async def _ended(self, call: ToolCallPart, outcome: CallOutcome) -> None:
        try:
            await self.journal.keep(f"{call.call_id}/outcome", outcome)
        finally:
            await self.recorder.outcome(call, outcome.status, outcome.text)

    async def _guarded(
        self, call: ToolCallPart, outcome: CallOutcome, program: Program, note: Message | None
    ) -> tuple[ToolResultPart, bool]:
        """Judge a result before the model reads it: block replaces it, redact removes passages,
        review lets it through and marks the turn. What is left of it is labelled.
        """
        text, is_error = outcome.text, outcome.status != "ok"
        with self.recorder.timings.room("guards"):
            judgement = await self.guards.judge(text, GuardContext.of(Boundary.TOOL_RESULT))
        if judgement.action is Action.BLOCK:
            text, is_error = f"[withheld by the guards: {judgement.decisive.reason}]", True
        else:
            text = judgement.text
        asked = (*program.asked, note) if note is not None else program.asked
        with self.recorder.timings.room("gate"):
            part = self.permission.gate.label(call, text, asked, is_error=is_error)
            part = program.labelled(part)
        await self.recorder.judged(Boundary.TOOL_RESULT, judgement, call.call_id, part.label)
        self.observe(ContentJudged(Boundary.TOOL_RESULT, judgement))
        return part, judgement.action in {Action.REVIEW, Action.BLOCK}

    def _kept(self, call: ToolCallPart) -> CallResult:
        result = self.journal.recall(f"{call.call_id}/result")
        if not isinstance(result, CallResult):
            raise StateError(f"the journal holds no result of call {call.call_id}")
        return result

    async def _keep(self, call: ToolCallPart, result: CallResult) -> None:
        await self.journal.keep(f"{call.call_id}/result", result)


def _refused(call: ToolCallPart, refusal: Refusal) -> ToolResultPart:
    decision = refusal.decision
    cure = f" What would change this: {decision.cure}." if decision.cure else ""
    text = f"Denied by rule {decision.rule}: {decision.reason}.{cure}"
    if refusal.unknown:
        text = f"Unknown outcome, and not repeated. {text}"
    # The reason may quote the model's own arguments, so the call's label stays on it.
    return ToolResultPart(call.call_id, call.name, text, call.label, is_error=True)


def _plain_text(tool: str, returned: object) -> str:
    """Return what a tool returned as a plain str of whole characters, whatever class of text it is:
    journal, log and models take nothing else, and its effect has happened already.
    """
    if not isinstance(returned, str):
        raise ToolError(f"{tool} returned {type(returned).__name__}, which is no text")
    return str.encode(returned, "utf-16", "surrogatepass").decode("utf-16", "replace")


def _is_tainted(conversation: Sequence[Message]) -> bool:
    """Whether any untrusted content stands in ``conversation``."""
    return any(
        part.label.integrity is Integrity.UNTRUSTED
        for message in conversation
        for part in message.parts
    )
