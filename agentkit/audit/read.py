"""Reading a log: iterate, look at the end, look one thing up, erase what is sensitive.

Reading checks as it goes, stored checkpoints included, and raises ``AuditDamaged`` at the first
contradiction; ``verify`` is what goes on behind it. None of these take the writer's lock: a live
log can be read.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from agentkit.audit.faults import as_audit_errors, damaged
from agentkit.audit.record import Record, RecordData
from agentkit.audit.sealed import SideStore
from agentkit.audit.survey import Survey
from agentkit.audit.walk import Problem
from agentkit.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentkit.audit.event import Receipt
    from agentkit.audit.log import AuditLog
    from agentkit.messages import JsonObject

__all__ = ["Entry", "EntryData", "erase", "read_events", "show", "tail"]


class EntryData(RecordData):
    """An entry as plain JSON data."""

    sensitive: JsonObject
    gone: list[str]


@dataclass(frozen=True, slots=True)
class Entry:
    """A record, and its sensitive values as far as they can be read.

    ``gone``: names of sensitive values that were erased, or whose plaintext is not here.
    """

    record: Record
    sensitive: JsonObject
    gone: tuple[str, ...]

    def as_dict(self) -> EntryData:
        """Return the entry as plain JSON data."""
        return {**self.record.as_dict(), "sensitive": self.sensitive, "gone": list(self.gone)}


def read_events(path: Path | str) -> Iterator[Entry]:
    """Yield every entry in order. Raises ``AuditError`` and ``AuditDamaged``.

    Entries come while the log is still being read. That signed records are gone from its end, or
    altered before a checkpoint, is raised only there: what was yielded holds once this has ended.
    """
    directory = Path(path)
    with _Opener(directory) as opener:
        for record in _records(directory):
            yield opener.entry(record)


def tail(path: Path | str, count: int) -> list[Entry]:
    """Return the last ``count`` entries, oldest first."""
    directory = Path(path)
    with _Opener(directory) as opener:
        return [opener.entry(record) for record in deque(_records(directory), maxlen=max(count, 0))]


def show(
    path: Path | str, *, index: int | None = None, call_id: str = "", run_id: str = ""
) -> list[Entry]:
    """Return the entries that fit all that is given; ValueError where nothing is given."""
    directory = Path(path)
    with _Opener(directory) as opener:
        return [
            opener.entry(record)
            for record in _select(directory, index=index, call_id=call_id, run_id=run_id)
        ]


def erase(
    log: AuditLog, *, reason: str, index: int | None = None, call_id: str = "", run_id: str = ""
) -> Receipt:
    """Erase the sensitive values of the entries that fit all that is given, and log that.

    ``reason`` stands in the log in plain text: name the request, not the person. Raises
    ``AuditError`` where no such entry has sensitive values, ValueError where nothing is given.
    """
    commitments = [
        commitment
        for record in _select(log.path, index=index, call_id=call_id, run_id=run_id)
        for commitment in record.commitments.values()
    ]
    if not commitments:
        raise AuditError(
            "no such entry holds sensitive values",
            cure="look the entries up with `agentkit audit show`",
            place=str(log.path),
        )
    return log.erase(commitments, reason=reason, run_id=run_id)


def _select(directory: Path, *, index: int | None, call_id: str, run_id: str) -> Iterator[Record]:
    if index is None and not call_id and not run_id:
        raise ValueError("give an index, a call id or a run id")
    return (
        record
        for record in _records(directory)
        if (index is None or record.index == index)
        and (not call_id or record.call_id == call_id)
        and (not run_id or record.run_id == run_id)
    )


def _records(directory: Path) -> Iterator[Record]:
    with as_audit_errors(directory):
        survey = Survey(directory)
    for found in survey:
        if isinstance(found, Record):
            yield found
        elif isinstance(found, Problem):
            raise damaged(directory, found)


class _Opener:
    """Looks sensitive values up while it is open."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._store: SideStore | None = None

    def __enter__(self) -> Self:
        with as_audit_errors(self._directory):
            self._store = SideStore.read(self._directory)
        return self

    def __exit__(self, *_: object) -> None:
        if self._store is not None:
            self._store.close()

    def entry(self, record: Record) -> Entry:
        sensitive: JsonObject = {}
        gone: list[str] = []
        for name, commitment in record.commitments.items():
            with as_audit_errors(self._directory):
                row = self._store.find(commitment) if self._store else None
            if row is not None and row.opens:
                sensitive[name] = row.value
            else:
                gone.append(name)
        return Entry(record, sensitive, tuple(gone))
