"""The startup report, line by line as the checks pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.cli.screen import decided

if TYPE_CHECKING:
    from agentkit.cli.progress import ShownProgress
    from agentkit.cli.screen import Screen
    from agentkit.startup import StartupCheck, StartupReport

__all__ = ["StartupView"]

_TOLD_FROM_S = 0.1


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
        word, detail = "ok", check.detail
        if check.name == "licence":
            # The check is that there is a decision; one that forbids is refused right after.
            word, _, detail = detail.partition(": ")
        line = decided(word, detail)
        if check.elapsed_s >= _TOLD_FROM_S:
            line.append(f"  {check.elapsed_s:.1f} s", style="dim")
        self._screen.row(check.name, line)

    def finish(self, report: StartupReport) -> None:
        """Show what the licences want shown."""
        for notice in report.notices:
            self._screen.row("notice", notice)
