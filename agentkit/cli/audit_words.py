"""A record of the audit log in one line, for tables."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from agentkit.audit import EventKind
from agentkit.cli.untrusted import one_line

if TYPE_CHECKING:
    from agentkit.audit import Entry

__all__ = ["said"]

_LONGEST = 120


def said(entry: Entry) -> str:
    """Return what a record says, cleaned; content that was erased is named, not shown."""
    return one_line(_WORDS.get(entry.record.kind, _all)(entry), _LONGEST)


def _named(entry: Entry, *keys: str) -> str:
    body = entry.record.body
    return " ".join(str(body[key]) for key in keys if body.get(key) not in (None, ""))


def _content(entry: Entry, name: str = "text") -> str:
    if name in entry.gone:
        return "(erased, or kept elsewhere)"
    return str(entry.sensitive.get(name, ""))


def _startup(entry: Entry) -> str:
    return f"{_named(entry, 'check')}: {_named(entry, 'detail')}"


def _refusal(entry: Entry) -> str:
    return f"{_named(entry, 'class', 'rule')}: {_content(entry, 'message')}"


def _guard(entry: Entry) -> str:
    return f"{_named(entry, 'boundary')}: {_named(entry, 'action')}"


def _decision(entry: Entry) -> str:
    outcome = _named(entry, "outcome")
    rule = "" if outcome == "allow" else f" by rule {_named(entry, 'rule')}"
    return f"{_named(entry, 'tool')}: {outcome}{rule}"


def _approval(entry: Entry) -> str:
    answer = "approved" if entry.record.body.get("approved") else "refused"
    return f"{_named(entry, 'subject')}: {answer} by {_named(entry, 'approver') or 'nobody'}"


def _intent(entry: Entry) -> str:
    return f"{_named(entry, 'tool')} is about to run, effect {_named(entry, 'effect')}"


def _outcome(entry: Entry) -> str:
    return f"{_named(entry, 'tool')}: {_named(entry, 'status')}: {_content(entry)}"


def _execution(entry: Entry) -> str:
    how = f"{_named(entry, 'tier')}: {_named(entry, 'exit_reason')}"
    return f"{how}, {_named(entry, 'wall_s')} s, {_named(entry, 'output_bytes')} bytes of output"


def _egress(entry: Entry) -> str:
    where = f"{_named(entry, 'method')} {_named(entry, 'host')}:{_named(entry, 'port')}"
    reason = _named(entry, "reason")
    return f"{_named(entry, 'phase')}: {where}" + (f": {reason}" if reason else "")


def _model(entry: Entry) -> str:
    calls = entry.record.body.get("calls")
    if isinstance(calls, list) and calls:
        return f"step {_named(entry, 'step')}: calls {', '.join(map(str, calls))}"
    return f"step {_named(entry, 'step')}: {_content(entry)}"


def _ended(entry: Entry) -> str:
    return _named(entry, "reason")


def _all(entry: Entry) -> str:
    return ", ".join(f"{key}: {value}" for key, value in sorted(entry.record.body.items()))


_WORDS = MappingProxyType(
    {
        EventKind.STARTUP: _startup,
        EventKind.REFUSAL: _refusal,
        EventKind.TURN_STARTED: _content,
        EventKind.GUARD: _guard,
        EventKind.DECISION: _decision,
        EventKind.APPROVAL: _approval,
        EventKind.INTENT: _intent,
        EventKind.OUTCOME: _outcome,
        EventKind.EXECUTION: _execution,
        EventKind.EGRESS: _egress,
        EventKind.MODEL: _model,
        EventKind.ANSWER: _content,
        EventKind.TURN_ENDED: _ended,
    }
)
