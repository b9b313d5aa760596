"""From an agent.yaml to its state: runs, questions to people, and the keys that are trusted."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agentkit.errors import StateError
from agentkit.planner import StateFile
from agentkit.planner.approvals import ApprovalStore, trusted_keys
from agentkit.planner.clock import system_clock
from agentkit.planner.runs import RunStore
from agentkit.spec import LoadedSpec, load_spec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Place", "moment", "open_place"]


@dataclass(frozen=True, slots=True)
class Place:
    """An agent's state, opened."""

    loaded: LoadedSpec
    state: StateFile
    approvals: ApprovalStore
    runs: RunStore


@contextmanager
def open_place(path: Path) -> Iterator[Place]:
    """Open the state that an agent.yaml names. Raises ``SpecError`` or ``StateError``."""
    loaded = load_spec(path)
    spec = loaded.spec
    if spec.state is None:
        raise StateError(
            "this agent keeps no state",
            cure="add state: {path: ./agent-state} to the file",
            place=str(path),
        )
    keys = trusted_keys([stated.trusted for stated in spec.approvals.approvers])
    lifetime_ms = int(spec.approvals.expires_after_s * 1000)
    state = StateFile.open(loaded.resolve(spec.state.path))
    try:
        approvals = ApprovalStore(keys, system_clock, lifetime_ms)
        yield Place(loaded, state, approvals, RunStore(system_clock))
    finally:
        state.close()


def moment(milliseconds: int) -> str:
    """Return a time since 1970 as text, UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
