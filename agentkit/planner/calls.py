"""From proposed calls to results: rule, ask, record the intent, run, record the outcome, guard.

All calls of a reply are ruled over and asked about first, one after the other; those that may run
then run side by side. Results are matched to calls by call id, never by the order of finishing.
"""

from __future__ import annotations

import hashlib
import json
import time
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import structlog

from agentkit.errors import AgentkitError, ToolError
from agentkit.guards import Action, Boundary, GuardContext
from agentkit.labels import Integrity
from agentkit.messages import ToolCallPart, ToolResultPart
from agentkit.planner.approval import Approval, ApprovalRequest
from agentkit.planner.decision import Decision, Outcome
from agentkit.planner.events import ApprovalGiven, CallFinished, CallRuled, ContentJudged
from agentkit.planner.programs import Program
from agentkit.tools.declaration import ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agentkit.guards import GuardPipeline
    from agentkit.messages import Message
    from agentkit.planner.approval import Approver
    from agentkit.planner.commitment import Commitment
    from agentkit.planner.decision import Ruling
    from agentkit.planner.events import Observer
    from agentkit.planner.gate import Gate
    from agentkit.planner.record import Recorder
    from agentkit.tools.declaration import Tool

__all__ = ["CallRoom", "Settled", "ask_person"]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Settled:
    """The results of one reply's calls, in the calls' order. ``suspect``: a guard found signs of
    injection in one of them. ``admitted``: every call of the turn that might run so far.
    """

    results: tuple[ToolResultPart, ...]
    suspect: bool
    admitted: tuple[ToolCallPart, ...] = ()


@dataclass(frozen=True, slots=True)
class CallRoom:
    """Everything that stands between a proposed call and its result."""

    tools: Mapping[str, Tool]
    gate: Gate
    guards: GuardPipeline
    approver: Approver
    recorder: Recorder
    observe: Observer
    take_calls: Callable[[int], None]

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

        Raises ``AuditError`` and ``SandboxError``: without a log or a wall nothing goes on.
        """
        results: dict[str, ToolResultPart] = {}
        permitted: list[ToolCallPart] = []
        for call in calls:
            with self.recorder.timings.room("gate"):
                ruling = await self.gate.rule(
                    call,
                    conversation,
                    commitment=commitment,
                    admitted=(*admitted, *permitted),
                    suspect=suspect,
                )
            refusal = await self._permit(call, ruling)
            if refusal is None:
                permitted.append(call)
            else:
                results[call.call_id] = _refused(call, refusal)
                self.observe(CallFinished(call, results[call.call_id], ran=False, elapsed_s=0.0))
        failures: list[AgentkitError] = []
        suspects: list[str] = []
        ledger = [*admitted, *permitted]

        async def settle_one(call: ToolCallPart, before: Sequence[Message]) -> ToolResultPart:
            self.take_calls(1)
            settled = await self.settle(
                (call,),
                before,
                commitment=commitment,
                admitted=tuple(ledger),
                suspect=suspect or bool(suspects),
            )
            ledger[:] = settled.admitted
            if settled.suspect:
                suspects.append(call.call_id)
            return settled.results[0]

        async def carry_out(call: ToolCallPart) -> None:
            program = Program(call, conversation, settle_one)
            try:
                result, suspicious = await self._run(call, conversation, program)
            except AgentkitError as error:
                failures.append(error)
                return
            results[call.call_id] = result
            if suspicious:
                suspects.append(call.call_id)

        async with anyio.create_task_group() as group:
            for call in permitted:
                group.start_soon(carry_out, call)
        if failures:
            raise failures[0]
        return Settled(
            tuple(results[call.call_id] for call in calls),
            suspect or bool(suspects),
            tuple(ledger),
        )

    async def _permit(self, call: ToolCallPart, ruling: Ruling) -> Decision | None:
        """Return None where the call may run, else the decision that forbids it."""
        await self.recorder.ruled(call, ruling)
        self.observe(CallRuled(call, ruling))
        if ruling.final.outcome is Outcome.ALLOW:
            return None
        if ruling.final.outcome is Outcome.DENY:
            return ruling.final
        shown = json.dumps(call.arguments, ensure_ascii=False, sort_keys=True, indent=2)
        request = ApprovalRequest(
            self.recorder.run_id, call.call_id, call.name, shown, ruling.final
        )
        approval = await ask_person(self.approver, request, self.recorder, self.observe)
        if approval.approved:
            return None
        comment = f": {approval.comment}" if approval.comment else ""
        return Decision(
            Outcome.DENY,
            ruling.final.rule,
            f"{ruling.final.reason}; not approved{comment}",
            ruling.final.cure,
        )

    async def _run(
        self, call: ToolCallPart, conversation: Sequence[Message], program: Program
    ) -> tuple[ToolResultPart, bool]:
        tool = self.tools[call.name]
        await self.recorder.intent(call, tool.effect.value)
        key = hashlib.sha256(f"{self.recorder.run_id}\0{call.call_id}".encode()).hexdigest()
        start = time.perf_counter()
        status, text = "cancelled", ""
        try:
            with self.recorder.timings.room("tool"):
                arguments = deepcopy(call.arguments)  # what was ruled over stays as it was
                functions = program.functions(self.tools) if tool.runs_programs else {}
                tainted = _is_tainted(conversation)
                text = await tool.function(
                    ToolCall(call.call_id, arguments, key, functions, tainted=tainted)
                )
            status = "ok"
        except ToolError as error:
            status, text = "error", error.message
        except AgentkitError as error:
            status, text = "failed", error.message
            raise
        except Exception as error:  # noqa: BLE001 - a tool's defect is told to the model and logged
            _log.exception("tool_failed", tool=call.name, call_id=call.call_id)
            status, text = "error", f"{call.name} failed: {type(error).__name__}"
        finally:
            await self.recorder.outcome(call, status, text)
        elapsed_s = time.perf_counter() - start
        return await self._guarded(
            call, text, conversation, program, is_error=status != "ok", elapsed_s=elapsed_s
        )

    async def _guarded(
        self,
        call: ToolCallPart,
        text: str,
        conversation: Sequence[Message],
        program: Program,
        *,
        is_error: bool,
        elapsed_s: float,
    ) -> tuple[ToolResultPart, bool]:
        """Judge a result before the model reads it: block replaces it, redact removes passages,
        review lets it through and marks the turn. What is left of it is labelled.
        """
        with self.recorder.timings.room("guards"):
            judgement = await self.guards.judge(text, GuardContext.of(Boundary.TOOL_RESULT))
        if judgement.action is Action.BLOCK:
            text, is_error = f"[withheld by the guards: {judgement.decisive.reason}]", True
        else:
            text = judgement.text
        with self.recorder.timings.room("gate"):
            result = self.gate.label(call, text, conversation, is_error=is_error)
            result = program.labelled(result)
        await self.recorder.judged(Boundary.TOOL_RESULT, judgement, call.call_id, result.label)
        self.observe(ContentJudged(Boundary.TOOL_RESULT, judgement))
        self.observe(CallFinished(call, result, ran=True, elapsed_s=elapsed_s))
        return result, judgement.action in {Action.REVIEW, Action.BLOCK}


async def ask_person(
    approver: Approver, request: ApprovalRequest, recorder: Recorder, observe: Observer
) -> Approval:
    """Ask, record and return the answer; an approver that fails has not approved."""
    try:
        approval = await approver.decide(request)
    except Exception as error:  # noqa: BLE001 - no answer is a no
        _log.exception("approver_failed", call_id=request.call_id)
        approval = Approval(
            approved=False, approver="", comment=f"the approver failed ({type(error).__name__})"
        )
    await recorder.answered(request, approval)
    observe(ApprovalGiven(request, approval))
    return approval


def _refused(call: ToolCallPart, decision: Decision) -> ToolResultPart:
    cure = f" What would change this: {decision.cure}." if decision.cure else ""
    text = f"Denied by rule {decision.rule}: {decision.reason}.{cure}"
    # The reason may quote the model's own arguments, so the call's label stays on it.
    return ToolResultPart(call.call_id, call.name, text, call.label, is_error=True)


def _is_tainted(conversation: Sequence[Message]) -> bool:
    """Whether any untrusted content stands in ``conversation``."""
    return any(
        part.label.integrity is Integrity.UNTRUSTED
        for message in conversation
        for part in message.parts
    )
