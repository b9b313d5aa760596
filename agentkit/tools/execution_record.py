"""The audit's record of a run of code: how it ended and what it used; why stays erasable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from agentkit.audit import AuditEvent, EventKind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentkit.audit import AuditLog
    from agentkit.messages import JsonObject
    from agentkit.sandbox.interface import Execution, Tier

__all__ = ["execution_recorder"]


def execution_recorder(
    log: AuditLog, run_id: str, tier: Tier
) -> Callable[[str, Execution], Awaitable[None]]:
    """Return what writes one ``execution`` record for a run, by its call id.

    It returns when the record is durable, also where the turn is cancelled meanwhile, and raises
    ``AuditError``.
    """

    async def record(call_id: str, execution: Execution) -> None:
        event = AuditEvent(
            kind=EventKind.EXECUTION,
            run_id=run_id,
            call_id=call_id,
            body={"tier": tier.value, **_facts(execution)},
            sensitive={"error": execution.error},
        )
        with anyio.CancelScope(shield=True):
            await log.record(event)

    return record


def _facts(execution: Execution) -> JsonObject:
    """Return what is kept for ever: how the run ended and what it used, no content."""
    usage = execution.usage
    return {
        "exit_reason": execution.exit_reason.value,
        "state_lost": execution.state_lost,
        "artifacts": [
            {"kind": artifact.kind.value, "bytes": len(artifact.data)}
            for artifact in execution.artifacts
        ],
        "wall_s": round(usage.wall_s, 6),
        "cpu_s": round(usage.cpu_s, 6),
        "peak_memory_bytes": usage.peak_memory_bytes,
        "output_bytes": usage.output_bytes,
    }
