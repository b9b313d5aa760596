"""One call's whole chain out of an audit log: from the user's message to the answer.

What is covered: the records of the call's own run and turn that led to it or came of it, in order;
content that was erased is named as erased.

What is not covered: whether the log holds; for that there is ``agentkit audit verify``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentkit.audit import EventKind, read_events
from agentkit.errors import AuditError

if TYPE_CHECKING:
    from pathlib import Path

    from agentkit.audit import Entry
    from agentkit.messages import JsonObject, JsonValue

__all__ = ["CallChain", "find_chain"]

_OF_CALL = {
    EventKind.DECISION: "decision",
    EventKind.APPROVAL: "approval",
    EventKind.INTENT: "intent",
    EventKind.OUTCOME: "outcome",
    EventKind.GUARD: "result",
}
_OF_TURN = {
    EventKind.TURN_STARTED: "message",
    EventKind.ANSWER: "answer",
    EventKind.TURN_ENDED: "end",
}


@dataclass(frozen=True, slots=True)
class CallChain:
    """``links``: the stage's name and its record, in the order of the log."""

    run_id: str
    call_id: str
    links: tuple[tuple[str, Entry], ...]

    @property
    def decision(self) -> Entry:
        """The gate's decision, the last one where it ruled again. Raises ``AuditError``."""
        found = [entry for stage, entry in self.links if stage == "decision"]
        if not found:
            raise AuditError(
                f"the gate decided nothing over call {self.call_id}",
                cure="look at the run: the turn may have been stopped before",
            )
        return found[-1]

    def to_json(self) -> JsonObject:
        """Return the chain for programs."""
        links: list[JsonValue] = []
        for stage, entry in self.links:
            record = entry.record
            links.append(
                {
                    "stage": stage,
                    "index": record.index,
                    "time": record.time,
                    "leaf_hash": record.leaf_hash,
                    "body": record.body,
                    "sensitive": entry.sensitive,
                    "gone": [*entry.gone],
                }
            )
        return {"run_id": self.run_id, "call_id": self.call_id, "chain": links}


def find_chain(log: Path, run: str, call_id: str) -> CallChain:
    """Return the chain of a call. ``run``: its id, or how it begins.

    Raises ``AuditError`` where no run or several begin so, or where the run has no such call.
    """
    entries = [entry for entry in read_events(log) if entry.record.run_id.startswith(run)]
    runs = sorted({entry.record.run_id for entry in entries})
    if len(runs) != 1:
        what = f"{len(runs)} runs begin" if runs else "no run begins"
        raise AuditError(
            f"{what} with {run!r}",
            cure="give more of the run's id; agentkit audit tail lists runs",
            place=str(log),
        )
    turns = {entry.record.turn for entry in entries if entry.record.call_id == call_id}
    if not turns:
        known = sorted({entry.record.call_id for entry in entries} - {""})
        raise AuditError(
            f"run {runs[0]} has no call {call_id!r}",
            cure=f"its calls are: {', '.join(known) or 'none'}",
            place=str(log),
        )
    links = tuple(
        (stage, entry)
        for entry in entries
        if entry.record.turn in turns and (stage := _stage(entry, call_id))
    )
    return CallChain(runs[0], call_id, links)


def _stage(entry: Entry, call_id: str) -> str:
    record = entry.record
    if record.call_id == call_id:
        return _OF_CALL.get(record.kind, record.kind.value)
    if record.kind is EventKind.MODEL:
        calls = record.body.get("calls")
        return "model" if isinstance(calls, list) and call_id in calls else ""
    return _OF_TURN.get(record.kind, "") if not record.call_id else ""
