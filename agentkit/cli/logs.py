"""structlog, set up for a command: to stderr, from WARNING on, no traceback unless asked for."""

from __future__ import annotations

import logging
import sys
from enum import StrEnum
from typing import TYPE_CHECKING

import structlog

from agentkit.cli.untrusted import one_line

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

__all__ = ["LogLevel", "configure_logs"]


class LogLevel(StrEnum):
    """From which severity on lines are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def configure_logs(level: LogLevel, *, as_json: bool, debug: bool) -> None:
    """Send agentkit's log, and that of the libraries it uses, to stderr."""
    severity = logging.getLevelNamesMapping()[level.upper()]
    renderer = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=False, sort_keys=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if debug else _name_exception,
            _cleaned,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(severity),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(
        level=severity, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )


def _name_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Name the exception only; ``--debug`` shows the traceback."""
    if event.pop("exc_info", None):
        kind = sys.exc_info()[0]
        event["exception"] = kind.__name__ if kind else "unknown"
    return event


def _cleaned(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Take escape sequences out of every text: a log line may quote a model or a tool."""
    return {
        key: one_line(value, 2000) if isinstance(value, str) and key != "exception" else value
        for key, value in event.items()
    }
