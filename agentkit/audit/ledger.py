"""What the records so far leave open: intents without outcome, erasures, recoveries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.audit.event import EventKind

if TYPE_CHECKING:
    from agentkit.audit.record import Record

__all__ = ["Ledger"]


class Ledger:
    """Follows records in order.

    ``intents``: (run id, call id) → intent record whose outcome has not been recorded.
    ``erased``: commitment → index of the record that logged its erasure.
    ``recoveries``: indices of recovery records. ``kept``: files that hold bytes cut by them.
    """

    FOLLOWED = frozenset(
        (EventKind.INTENT, EventKind.OUTCOME, EventKind.ERASURE, EventKind.RECOVERY)
    )

    def __init__(self) -> None:
        self.intents: dict[tuple[str, str], Record] = {}
        self.erased: dict[str, int] = {}
        self.recoveries: list[int] = []
        self.kept: set[str] = set()

    def follow(self, record: Record) -> None:
        """Take in one record, of any kind."""
        if record.kind is EventKind.INTENT:
            self.intents[record.run_id, record.call_id] = record
        elif record.kind is EventKind.OUTCOME:
            self.intents.pop((record.run_id, record.call_id), None)
        elif record.kind is EventKind.ERASURE:
            commitments = record.body.get("commitments")
            for commitment in commitments if isinstance(commitments, list) else ():
                self.erased[str(commitment)] = record.index
        elif record.kind is EventKind.RECOVERY:
            self.recoveries.append(record.index)
            if "kept_as" in record.body:
                self.kept.add(str(record.body["kept_as"]))
