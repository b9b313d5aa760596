"""Runs that survive: the journal of a turn, and the store of runs."""

from agentkit.planner.runs.journal import Journal
from agentkit.planner.runs.store import Claim, RunRow, RunStatus, RunStore, TurnRow

__all__ = ["Claim", "Journal", "RunRow", "RunStatus", "RunStore", "TurnRow"]
