"""Verifying a log: everything is computed again, nothing is believed, nothing is changed.

What is covered: CRC, canonical form, fields, dense sequence, hash chain through records and
segment headers, signatures, every checkpoint against the recomputed tree, a checkpoint that was
kept elsewhere, and the side store's values against their commitments.

What is not covered: records behind the last checkpoint that the verifier knows, which whoever can
write the file could have cut or changed (``unsigned_events`` counts them); without a pinned key
and an external checkpoint, a log that was rewritten as a whole. What the records say is what the
writer said.
"""

from __future__ import annotations

import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from agentkit.audit.keys import VerifierKey
from agentkit.audit.record import Record, RecordData
from agentkit.audit.sealed import SideStore
from agentkit.audit.survey import Survey
from agentkit.audit.walk import Problem

if TYPE_CHECKING:
    from agentkit.messages import JsonValue

__all__ = ["CommitmentCount", "ReportData", "VerificationReport", "verify"]

_MOST_PROBLEMS = 1000


@dataclass(frozen=True, slots=True)
class CommitmentCount:
    """Sensitive values: ``opened`` have plaintext that fits, ``erased`` were erased on record,
    ``withheld`` cannot be looked at because the side store is not here.
    """

    opened: int = 0
    erased: int = 0
    withheld: int = 0


class ReportData(TypedDict):
    """A report as plain JSON data."""

    ok: bool
    path: str
    log: str
    key: str
    key_pinned: bool
    events: int
    segments: int
    first_time: str
    last_time: str
    clock_steps_back: int
    checkpoints: int
    signed_events: int
    unsigned_events: int
    commitments: dict[str, int]
    recoveries: list[int]
    torn_bytes: int
    unanswered_intents: list[RecordData]
    problems: list[dict[str, JsonValue]]


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """What a verification found. ``ok``: no problem at all.

    ``log``, ``key``: the log's name and verifier key; ``key_pinned``: the caller gave the key,
    otherwise the log vouches for itself. ``checkpoints``: how many over records fit;
    ``signed_events``: records under the largest; ``unsigned_events``: records behind it, which
    hold together but could have been cut or changed without the key. ``first_time``,
    ``last_time``: as recorded. ``clock_steps_back``: records whose time is before that of the
    record before. ``recoveries``: indices of recovery records: a torn tail, or unsigned records.
    ``torn_bytes``: at the very end, cut short by a crash (or being written just now); what comes
    before them is whole. ``unanswered_intents``: what may have run without a recorded outcome.
    """

    ok: bool
    path: str
    log: str
    key: str
    key_pinned: bool
    events: int
    segments: int
    first_time: str
    last_time: str
    clock_steps_back: int
    checkpoints: int
    signed_events: int
    unsigned_events: int
    commitments: CommitmentCount
    recoveries: tuple[int, ...]
    torn_bytes: int
    unanswered_intents: tuple[Record, ...]
    problems: tuple[Problem, ...]

    def as_dict(self) -> ReportData:
        """Return the report as plain JSON data."""
        return {
            "ok": self.ok,
            "path": self.path,
            "log": self.log,
            "key": self.key,
            "key_pinned": self.key_pinned,
            "events": self.events,
            "segments": self.segments,
            "first_time": self.first_time,
            "last_time": self.last_time,
            "clock_steps_back": self.clock_steps_back,
            "checkpoints": self.checkpoints,
            "signed_events": self.signed_events,
            "unsigned_events": self.unsigned_events,
            "commitments": asdict(self.commitments),
            "recoveries": list(self.recoveries),
            "torn_bytes": self.torn_bytes,
            "unanswered_intents": [intent.as_dict() for intent in self.unanswered_intents],
            "problems": [asdict(problem) for problem in self.problems],
        }


def verify(
    path: Path | str, *, public_key: str | None = None, checkpoint: str | None = None
) -> VerificationReport:
    """Verify the log in directory ``path``; never raises on what it finds there.

    ``public_key``: the verifier line (``AuditLog.public_key``), kept apart from the log.
    ``checkpoint``: a signed note, kept apart from the log. Memory: one record, and the longest
    unreadable stretch up to 256 MiB.
    """
    return _Verification(Path(path), public_key, checkpoint).report()


class _Verification:
    def __init__(self, path: Path, public_key: str | None, checkpoint: str | None) -> None:
        self._path = path
        self._pinned = public_key is not None
        self._problems: list[Problem] = []
        self._times: tuple[str, str] = ("", "")
        self._steps_back = 0
        self._opened = self._withheld = 0
        self._missing: dict[str, tuple[Problem, int | None]] = {}
        self._survey: Survey | None = None
        self._store = self._open_store()
        try:
            key = None if public_key is None else VerifierKey.parse(public_key)
            self._survey = Survey(path, key=key, external=checkpoint)
        except ValueError as error:
            self._problem(Problem(-1, -1, -1, f"the given public key: {error}"))
        except OSError as error:
            self._problem(Problem(-1, -1, -1, f"the log is unreadable: {error.strerror}"))

    def report(self) -> VerificationReport:
        if self._survey is not None:
            for found in self._survey:
                if isinstance(found, Problem):
                    self._problem(found)
                elif isinstance(found, Record):
                    self._follow(found)
        erased = self._settle_missing()
        if self._store is not None:
            self._store.close()
        return self._report(erased)

    def _follow(self, record: Record) -> None:
        first, last = self._times
        self._steps_back += record.time < last
        self._times = (first or record.time, record.time)
        for name, commitment in record.commitments.items():
            self._check_commitment(record, name, commitment)

    def _check_commitment(self, record: Record, name: str, commitment: str) -> None:
        if self._store is None:
            self._withheld += 1
            return
        try:
            row = self._store.find(commitment)
        except sqlite3.Error as error:
            self._problem(Problem(-1, -1, -1, f"the side store is unreadable: {error}"))
            self._store.close()
            self._store = None
            self._withheld += 1
            return
        if row is not None and row.opens and row.record == record.index:
            self._opened += 1
            return
        what = f"the plaintext of {name!r} is missing, without an erasure on record"
        if row is not None and row.erased_by is None:
            what = f"the plaintext of {name!r} does not fit its commitment"
        problem = Problem(record.index, -1, -1, what)
        self._missing[commitment] = (problem, row.erased_by if row else None)

    def _settle_missing(self) -> int:
        """Return how many of the missing values an erasure record accounts for."""
        if self._survey is None:
            return 0
        logged, size = self._survey.ledger.erased, self._survey.walk.size
        behind = [
            commitment
            for commitment, (_, erased_by) in self._missing.items()
            if erased_by is not None and erased_by >= size
        ]
        if not logged.keys() >= set(behind):
            logged = self._erased_by_now()
        for commitment, (problem, _) in self._missing.items():
            if commitment not in logged:
                self._problem(problem)
        return sum(commitment in logged for commitment in self._missing)

    def _erased_by_now(self) -> dict[str, int]:
        """Return what the log says is erased, read once more: a live writer may have erased, and
        recorded it, behind the last record that the first pass read.
        """
        try:
            again = Survey(self._path)
        except OSError as error:
            self._problem(Problem(-1, -1, -1, f"the log is unreadable: {error.strerror}"))
            return {}
        for found in again:
            if isinstance(found, Problem) and found not in self._problems:
                self._problem(found)
        return again.ledger.erased

    def _open_store(self) -> SideStore | None:
        try:
            return SideStore.read(self._path)
        except (sqlite3.Error, OSError) as error:
            self._problem(Problem(-1, -1, -1, f"the side store is unreadable: {error}"))
            return None

    def _problem(self, problem: Problem) -> None:
        if len(self._problems) < _MOST_PROBLEMS:
            self._problems.append(problem)

    def _report(self, erased: int) -> VerificationReport:
        survey = self._survey
        header = survey.walk.header if survey else None
        torn = survey.notes.torn if survey else 0
        if survey and survey.torn:
            torn += survey.torn.length
        events = survey.walk.frontier.size if survey else 0
        signed = survey.signed if survey else 0
        return VerificationReport(
            ok=not self._problems,
            path=str(self._path),
            log=header.log if header else "",
            key=str(survey.key) if survey and survey.key else "",
            key_pinned=self._pinned,
            events=events,
            segments=survey.walk.segments if survey else 0,
            first_time=self._times[0],
            last_time=self._times[1],
            clock_steps_back=self._steps_back,
            checkpoints=sum(bool(fits.size) for fits in survey.checkpoints) if survey else 0,
            signed_events=signed,
            unsigned_events=events - signed,
            commitments=CommitmentCount(self._opened, erased, self._withheld),
            recoveries=tuple(survey.ledger.recoveries) if survey else (),
            torn_bytes=torn,
            unanswered_intents=tuple(survey.ledger.intents.values()) if survey else (),
            problems=tuple(self._problems),
        )
