import re
from collections.abc import Callable
from pathlib import Path

import pytest

from agentkit.spec import load_spec

PAGE = (Path(__file__).parents[2] / "docs" / "agent-yaml.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "block", re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
)
def test_every_file_on_the_page_is_valid(block: str, write: Callable[[str | bytes], Path]) -> None:
    assert load_spec(write(block), environ={}).spec.version == 1
