"""The startup report, line by line as the checks pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from agentkit.cli.untrusted import one_line

if TYPE_CHECKING:
    from agentkit.cli.progress import ShownProgress
    from agentkit.cli.screen import Screen
    from agentkit.startup import StartupCheck, StartupReport

__all__ = ["StartupView"]


class StartupView:
    """Shows checks as they pass."""

    def __init__(self, screen: Screen, progress: ShownProgress) -> None:
        self._screen = screen
        self._progress = progress
        self._begun = False

    def __call__(self, check: StartupCheck) -> None:
        """Show one check that passed."""
        self._progress.clear()
        if not self._begun:
            self._screen.title("Startup")
            self._begun = True
        # A licence that forbids is recorded as decided here, and refused right after.
        decided = check.name == "licence"
        line = Text("" if decided else "ok  ", style="green")
        line.append(one_line(check.detail, 400), style="default")
        line.append(f"  {check.elapsed_s:.2f} s", style="dim")
        self._screen.row(check.name, line)

    def finish(self, report: StartupReport) -> None:
        """Show what the licences want shown."""
        for notice in report.notices:
            self._screen.row("notice", notice)
