"""Who is asked in this process: the person at the terminal, signing where the agent wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.cli.approver import TerminalApprover
from agentkit.planner.approvals import ApproverKey, SigningApprover

if TYPE_CHECKING:
    from pathlib import Path

    from agentkit.planner import Approver
    from agentkit.spec import LoadedSpec

__all__ = ["person_for"]


def person_for(loaded: LoadedSpec, name: str, key_file: Path | None) -> Approver | None:
    """Return who answers here; None where the specification takes signed answers only and no key
    was given, so that questions wait or are answered no, as it says. Raises ``ApprovalError``.
    """
    if key_file is not None:
        key = ApproverKey.load(key_file.expanduser())
        return SigningApprover(TerminalApprover(key.name), key)
    if loaded.spec.approvals.approvers:
        return None
    return TerminalApprover(name)
