from collections.abc import Callable
from pathlib import Path

import pytest

SMALLEST = """\
version: 1
name: analyst
model: {source: embedded}
deployment:
  principal:
    name: Fjordtall AS
    kind: company
    country: NO
"""


@pytest.fixture
def smallest() -> str:
    """The smallest file that is valid."""
    return SMALLEST


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Write text or bytes to an agent.yaml and return its path."""

    def write_file(content: str | bytes) -> Path:
        path = tmp_path / "agent.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file
