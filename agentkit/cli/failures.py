"""The one place where a failure becomes lines on stderr and an exit code.

What agentkit raises on purpose is shown as ``error: place: message`` and ``cure: ...`` and leaves
with the error's own code; Ctrl-C leaves with 130; whatever else is raised is a defect of agentkit
and leaves with 70, its traceback only with ``--debug``. docs/cli.md lists all codes.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from agentkit.cli.screen import Screen
from agentkit.errors import AgentkitError, RunSuspended, StartupRefused, TurnStopped
from agentkit.spec import SpecProblems

if TYPE_CHECKING:
    from agentkit.messages import JsonObject

__all__ = ["DEFECT", "INTERRUPTED", "Commands", "error_json", "show_error"]

DEFECT = 70
"""Exit code of a defect of agentkit's own (EX_SOFTWARE of sysexits)."""

INTERRUPTED = 130
"""Exit code after Ctrl-C (128 + SIGINT)."""


class Commands(TyperGroup):
    """The group of all commands; every failure of a command passes through ``invoke``."""

    def invoke(self, ctx: Any) -> object:  # noqa: ANN401 - Typer does not publish its type
        """Run a command. Raises ``typer.Exit`` with the code of what went wrong."""
        debug = bool(ctx.params.get("debug"))
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            Screen.here().note("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            # Usage errors and exits are Typer's own to show; a closed pipe wants nothing shown.
            own = (typer.Exit, typer.Abort, BrokenPipeError)
            if isinstance(error, own) or hasattr(error, "format_message"):
                raise
            raise typer.Exit(_report(error, debug=debug)) from None


def show_error(error: AgentkitError, screen: Screen) -> None:
    """Write an error to stderr; of a file's problems, all."""
    if isinstance(error, SpecProblems):
        for problem in error.problems:
            place = f"{error.path}:{problem.line}:{problem.column}"
            _write(screen, place, problem.message, problem.fix)
        if len(error.problems) > 1:
            screen.note(f"{len(error.problems)} problems in {error.path}")
        return
    _write(screen, error.place, error.message, error.cure)


def error_json(error: AgentkitError) -> JsonObject:
    """Return an error as JSON for a program."""
    found: JsonObject = {
        "class": type(error).__name__,
        "message": error.message,
        "place": error.place,
        "cure": error.cure,
        "exit_code": error.exit_code,
    }
    if isinstance(error, StartupRefused):
        found |= {"rule": error.rule, "clause": error.clause}
    if isinstance(error, TurnStopped):
        found["reason"] = error.reason
    if isinstance(error, RunSuspended):
        found |= {"run": error.run_id, "requests": [*error.requests]}
    if isinstance(error, SpecProblems):
        found["problems"] = [
            {
                "line": problem.line,
                "column": problem.column,
                "text": problem.text,
                "message": problem.message,
                "fix": problem.fix,
            }
            for problem in error.problems
        ]
    return found


def _write(screen: Screen, place: str, message: str, cure: str) -> None:
    screen.note(f"error: {place}: {message}" if place else f"error: {message}", style="red")
    if cure:
        screen.note(f"  cure: {cure}")


def _report(error: Exception, *, debug: bool) -> int:
    """Show any failure; return the exit code."""
    screen = Screen.here()
    expected = _expected(error)
    if expected is not None:
        show_error(expected, screen)
        code = expected.exit_code
    else:
        where = traceback.extract_tb(error.__traceback__)[-1:]
        place = "".join(f" at {frame.name}:{frame.lineno}" for frame in where)
        kind = type(error).__name__
        screen.note(f"error: this is a defect of agentkit: {kind}: {error}{place}", style="red")
        screen.note("  cure: report it with the output of the same command with --debug")
        code = DEFECT
    if debug:
        screen.note("".join(traceback.format_exception(error)))
    return code


def _expected(error: BaseException) -> AgentkitError | None:
    """Return the error that agentkit raised on purpose, also from inside a group of tasks."""
    if isinstance(error, AgentkitError):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((found for one in error.exceptions if (found := _expected(one))), None)
    return None
