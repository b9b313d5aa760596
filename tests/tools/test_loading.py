from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentkit.errors import ToolError
from agentkit.tools import load_tool

if TYPE_CHECKING:
    from pathlib import Path

GOOD = '''
from agentkit.tools import tool

@tool(effect="read", returns="inputs")
def shout(text: str) -> str:
    """Write in capitals."""
    return text.upper()

number = 3
'''


def test_a_tool_is_found_beside_the_specification(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(GOOD)
    assert load_tool("mine:shout", tmp_path).name == "shout"


def test_modules_of_one_name_in_two_folders_do_not_meet(tmp_path: Path) -> None:
    for folder, word in (("a", "one"), ("b", "two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(GOOD.replace("shout", word))
    assert load_tool("mine:one", tmp_path / "a").name == "one"
    assert load_tool("mine:two", tmp_path / "b").name == "two"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("mine", "names no function"),
        ("mine:absent", "is missing"),
        ("mine:number", "is a int, no tool"),
        ("nowhere_to_be_found:x", "neither in"),
        ("nowhere_to_be_found.inner:x", "neither in"),
        ("broken:x", "ZeroDivisionError"),
        ("needy:x", "module 'needy' needs 'no_such_package', which is not installed"),
        ("leaves:x", "failed to import: SystemExit: 0"),
    ],
)
def test_each_mistake_has_its_message_and_place(
    tmp_path: Path, reference: str, message: str
) -> None:
    (tmp_path / "mine.py").write_text(GOOD)
    (tmp_path / "broken.py").write_text("1 / 0")
    (tmp_path / "needy.py").write_text("import no_such_package.inner")
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(0)")
    with pytest.raises(ToolError, match=message) as caught:
        load_tool(reference, tmp_path, place="agent.yaml:9:15")
    assert caught.value.place == "agent.yaml:9:15"
    assert caught.value.cure
