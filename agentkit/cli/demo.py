"""``agentkit demo``: one whole turn on this machine, and the proof that it was recorded."""

from pathlib import Path

import typer

from agentkit.audit import verify
from agentkit.cli.approver import TerminalApprover, os_user
from agentkit.cli.audit_verify import show_report
from agentkit.cli.doctor import CANNOT_RUN, show_missing
from agentkit.cli.files import write_files
from agentkit.cli.interruptible import run_interruptible
from agentkit.cli.machine import inspect_machine, missing_for_demo
from agentkit.cli.one_turn import ask
from agentkit.cli.screen import Screen
from agentkit.errors import AuditDamaged
from agentkit.spec import load_spec, read_template

__all__ = ["QUESTION", "demo"]

QUESTION = "What is 17 * 23?"
"""What the demo asks. The embedded model is small: it chooses the call, and no more than that."""

_FOLDER = Path(".demo")


def demo() -> None:
    """Run the main job: agent.yaml, startup, one turn with Python in a sandbox, verified log."""
    screen = Screen.here()
    missing = missing_for_demo(inspect_machine())
    if missing:
        show_missing(screen, missing)
        raise typer.Exit(CANNOT_RUN)
    spec = _FOLDER / "agent.yaml"
    if not spec.exists():
        write_files(_FOLDER, read_template("analyst"), force=False)
    screen.out.print(f"agentkit demo: {spec}")
    run_interruptible(ask, screen, spec, QUESTION, TerminalApprover(os_user()))
    loaded = load_spec(spec)
    report = verify(loaded.resolve(loaded.spec.audit.path))
    show_report(screen, report)
    if not report.ok:
        raise typer.Exit(AuditDamaged.exit_code)
