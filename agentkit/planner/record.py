"""The audit events of one turn: what is recorded of each thing that happens, and when.

Content (words, arguments, outputs) goes in as *sensitive*: the log keeps a salted commitment to
it, and the text in a side store from which it can be erased. Rules, names, counts and times are
recorded as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from agentkit.audit import AuditEvent, EventKind
from agentkit.guards import Action
from agentkit.planner.decision import rules_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentkit.audit import AuditLog, Receipt
    from agentkit.guards import Boundary, Judgement
    from agentkit.labels import Label
    from agentkit.messages import JsonObject, JsonValue, ToolCallPart
    from agentkit.planner.approval import Approval, ApprovalRequest
    from agentkit.planner.commitment import Commitment
    from agentkit.planner.decision import Ruling
    from agentkit.planner.reply import Reply
    from agentkit.planner.timings import Timings

__all__ = ["Recorder"]


@dataclass(frozen=True, slots=True)
class Recorder:
    """Writes one turn's events. Every method returns when the event is durable."""

    log: AuditLog
    run_id: str
    turn: int
    timings: Timings

    async def started(self, text: str) -> Receipt:
        """Record the user's message before anything looks at it."""
        return await self._write(EventKind.TURN_STARTED, sensitive={"text": text})

    async def judged(
        self,
        boundary: Boundary,
        judgement: Judgement,
        call_id: str = "",
        label: Label | None = None,
    ) -> Receipt:
        """Record which detectors spoke, what they found, and under which label the text goes on."""
        body: JsonObject = {
            "boundary": boundary.value,
            "action": judgement.action.value,
            "verdicts": [
                {
                    "detector": verdict.detector,
                    "action": verdict.action.value,
                    "categories": [*verdict.categories],
                    "score": round(verdict.score, 4),
                }
                for verdict in judgement.verdicts
            ],
        }
        if label is not None:
            body["integrity"] = label.integrity.value
            body["sources"] = [str(source) for source in label.sources]
        changed = judgement.action is not Action.ALLOW
        return await self._write(
            EventKind.GUARD,
            call_id=call_id,
            body=body,
            sensitive={"admitted": judgement.text} if changed else None,
        )

    async def replied(self, reply: Reply, step: int) -> Receipt:
        """Record what the model said in one step."""
        body: JsonObject = {
            "step": step,
            "finish": reply.finish,
            "calls": [call.call_id for call in reply.message.calls],
            "problems": len(reply.problems),
            "prompt_tokens": reply.usage.prompt_tokens,
            "completion_tokens": reply.usage.completion_tokens,
        }
        return await self._write(EventKind.MODEL, body=body, sensitive={"text": reply.text})

    async def committed(self, commitment: Commitment, reply: Reply) -> Receipt:
        """Record what the request implies, before anything untrusted is read."""
        body: JsonObject = {
            "step": "commitment",
            "finish": reply.finish,
            "tools": [f"{entry.tool} x {entry.count}" for entry in commitment.entries],
            "prompt_tokens": reply.usage.prompt_tokens,
            "completion_tokens": reply.usage.completion_tokens,
        }
        entries: list[JsonValue] = [entry.to_json() for entry in commitment.entries]
        return await self._write(EventKind.MODEL, body=body, sensitive={"commitment": entries})

    async def ruled(self, call: ToolCallPart, ruling: Ruling) -> Receipt:
        """Record the gate's ruling over a call; a denial is audited like a deed."""
        body: JsonObject = {
            "tool": call.name,
            **ruling.final.to_json(),
            "trail": [*rules_of(ruling.trail)],
        }
        return await self._write(
            EventKind.DECISION,
            call_id=call.call_id,
            body=body,
            sensitive={"arguments": call.arguments, "reason": ruling.final.reason},
        )

    async def answered(self, request: ApprovalRequest, approval: Approval) -> Receipt:
        """Record who approved or refused what."""
        body: JsonObject = {
            "subject": request.subject,
            "rule": request.decision.rule,
            "approved": approval.approved,
            "approver": approval.approver,
        }
        return await self._write(
            EventKind.APPROVAL,
            call_id=request.call_id,
            body=body,
            sensitive={"shown": request.shown, "comment": approval.comment},
        )

    async def intent(self, call: ToolCallPart, effect: str) -> Receipt:
        """Record that a call is about to run; it starts only after this is durable."""
        return await self._write(
            EventKind.INTENT,
            call_id=call.call_id,
            body={"tool": call.name, "effect": effect},
            sensitive={"arguments": call.arguments},
        )

    async def outcome(self, call: ToolCallPart, status: str, text: str) -> None:
        """Record how a call ended. Also recorded while the turn is being cancelled."""
        with anyio.CancelScope(shield=True):
            await self._write(
                EventKind.OUTCOME,
                call_id=call.call_id,
                body={"tool": call.name, "status": status},
                sensitive={"text": text},
            )

    async def answer(self, text: str, sources: list[str]) -> Receipt:
        """Record the answer that the user is given."""
        return await self._write(
            EventKind.ANSWER, body={"sources": [*sources]}, sensitive={"text": text}
        )

    async def ended(self, reason: str, body: JsonObject) -> None:
        """Record how the turn ended. Also recorded while the turn is being cancelled."""
        with anyio.CancelScope(shield=True):
            await self._write(EventKind.TURN_ENDED, body={"reason": reason, **body})

    async def _write(
        self,
        kind: EventKind,
        *,
        call_id: str = "",
        body: JsonObject | None = None,
        sensitive: Mapping[str, JsonValue] | None = None,
    ) -> Receipt:
        event = AuditEvent(
            kind=kind,
            run_id=self.run_id,
            turn=self.turn,
            call_id=call_id,
            body=body or {},
            sensitive=sensitive or {},
        )
        with self.timings.room("audit"):
            return await self.log.record(event)
