"""The room's page runs, and the room needs nothing but the standard library."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

BLOCKS = re.findall(
    r"^```python\n(.*?)^```",
    (Path(__file__).parents[2] / "docs" / "licensing.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_block_runs(block: str) -> None:
    exec(compile(block, "docs/licensing.md", "exec"), {})  # noqa: S102  # our own page


def test_the_page_has_its_blocks() -> None:
    assert len(BLOCKS) == 4


def test_the_room_imports_nothing_but_the_standard_library() -> None:
    program = (
        "import sys; before = set(sys.modules); import agentkit.licensing;"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "print(*sorted(new - set(sys.stdlib_module_names)))"
    )
    ran = subprocess.run(  # our own interpreter and program
        [sys.executable, "-c", program], capture_output=True, check=True, text=True, timeout=60
    )
    assert ran.stdout.split() == ["agentkit"]
