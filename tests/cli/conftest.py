from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog
from typer.testing import CliRunner, Result

from agentkit.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def cli() -> Iterator[Callable[..., Result]]:
    """Run a command in this process; stdout, stderr and exit_code are on the result."""
    runner = CliRunner()

    def invoke(*arguments: object, **options: str | bytes) -> Result:
        return runner.invoke(app, [str(one) for one in arguments], **options)

    yield invoke
    structlog.reset_defaults()
