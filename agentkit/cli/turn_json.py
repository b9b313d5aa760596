"""One turn as JSON, for programs: the same events that ``turn_view`` shows, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.planner import (
    ApprovalGiven,
    CallFinished,
    CallRuled,
    ContentJudged,
    ModelReplied,
    StepStarted,
)

if TYPE_CHECKING:
    from agentkit.messages import JsonObject
    from agentkit.planner import Answer, Decision, TurnEvent

__all__ = ["answer_json", "event_json"]


def event_json(event: TurnEvent, tier: str) -> JsonObject:
    """Return one event. ``tier``: where tools that run code run."""
    match event:
        case StepStarted():
            return {"event": "step", "step": event.step}
        case ContentJudged():
            return {
                "event": "guards",
                "boundary": event.boundary.value,
                "action": event.judgement.action.value,
                "verdicts": [
                    {
                        "detector": verdict.detector,
                        "action": verdict.action.value,
                        "categories": [*verdict.categories],
                        "reason": verdict.reason,
                    }
                    for verdict in event.judgement.verdicts
                ],
            }
        case ModelReplied():
            return {
                "event": "model",
                "step": event.step,
                "calls": [call.call_id for call in event.calls],
                "problems": [*event.problems],
                "prompt_tokens": event.usage.prompt_tokens,
                "completion_tokens": event.usage.completion_tokens,
            }
        case CallRuled():
            return {
                "event": "decision",
                "call_id": event.call.call_id,
                "tool": event.call.name,
                "arguments": event.call.arguments,
                **_decision(event.ruling.final),
                "trail": [_decision(decision) for decision in event.ruling.trail],
            }
        case ApprovalGiven():
            return {
                "event": "approval",
                "call_id": event.request.call_id,
                "subject": event.request.subject,
                "approved": event.approval.approved,
                "approver": event.approval.approver,
                "comment": event.approval.comment,
            }
        case CallFinished():
            return {
                "event": "result",
                "call_id": event.call.call_id,
                "tool": event.call.name,
                "tier": tier if event.call.name == "python" else None,
                "ran": event.ran,
                "is_error": event.result.is_error,
                "text": event.result.text,
                "elapsed_s": round(event.elapsed_s, 4),
            }


def answer_json(answer: Answer) -> JsonObject:
    """Return an answer."""
    return {
        "text": answer.text,
        "citations": [
            {"start": one.start, "end": one.end, "source": str(one.source)}
            for one in answer.citations
        ],
        "findings": [
            {"action": one.action, "what": one.what, "text": one.text, "origin": one.origin}
            for one in answer.findings
        ],
        "sources": [str(source) for source in answer.sources],
        "receipt": {"index": answer.receipt.index, "leaf_hash": answer.receipt.leaf_hash},
        "turn": answer.turn,
        "steps": answer.steps,
        "tool_calls": answer.tool_calls,
        "tokens": answer.tokens,
        "seconds": {room: round(sum(spent), 4) for room, spent in answer.seconds.items()},
    }


def _decision(decision: Decision) -> JsonObject:
    return {
        "outcome": decision.outcome.value,
        "rule": decision.rule,
        "reason": decision.reason,
        "cure": decision.cure,
        "evidence": [
            {"path": item.path, "value": item.value, "origin": item.origin}
            for item in decision.evidence
        ],
    }
