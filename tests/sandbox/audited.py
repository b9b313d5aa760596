"""Runs code as the ``python`` tool does, into a real audit log, and holds the log to what ended."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from agentkit.audit import AuditLog, EventKind, read_events, verify
from agentkit.errors import ToolError
from agentkit.tools import ToolCall, execution_recorder, python_tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentkit.sandbox import Execution, SandboxSession, Tier

__all__ = ["AuditedRuns", "audited_runs"]


class AuditedRuns:
    """Made by ``audited_runs``."""

    def __init__(self, log: AuditLog, tier: Tier) -> None:
        self.ended: dict[str, str] = {}
        self._record = execution_recorder(log, "payloads", tier)

    async def run(self, session: SandboxSession, call_id: str, code: str) -> Execution:
        """Return the execution that the tool saw."""
        seen: list[Execution] = []
        tool = python_tool(
            session, observe=lambda _, execution: seen.append(execution), record=self._record
        )
        with suppress(ToolError):  # what the model is told of a run that did not end well
            await tool.function(ToolCall(call_id, {"code": code}, call_id))
        (execution,) = seen
        self.ended[call_id] = execution.exit_reason.value
        return execution


@contextmanager
def audited_runs(folder: Path, tier: Tier) -> Iterator[AuditedRuns]:
    """Open a log; on leaving, hold it to one ``execution`` record for each run, with its reason."""
    log = AuditLog.open(folder)
    try:
        runs = AuditedRuns(log, tier)
        yield runs
    finally:
        log.close()
    assert verify(folder).ok
    records = [entry.record for entry in read_events(folder)]
    found = {
        record.call_id: record.body["exit_reason"]
        for record in records
        if record.kind is EventKind.EXECUTION
    }
    assert len(found) == len(records)
    assert found == runs.ended
