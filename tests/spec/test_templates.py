from pathlib import Path

import anyio
import pytest

from agentkit.errors import SpecError
from agentkit.spec import load_spec, read_template, template_names
from agentkit.tools import ToolCall, load_tool


@pytest.mark.parametrize("name", template_names())
def test_a_template_is_valid_and_explains_itself(name: str, tmp_path: Path) -> None:
    files = read_template(name)
    for file, content in files.items():
        (tmp_path / file).write_text(content, encoding="utf-8")
    spec = load_spec(tmp_path / "agent.yaml", environ={}).spec
    assert spec.tools
    assert files["agent.yaml"].count("#") >= 8
    for tool in spec.tools.values():
        if tool.function is not None:
            assert f"{tool.function.split(':')[0]}.py" in files


@pytest.mark.parametrize(
    ("name", "text", "result"),
    [
        ("slugify", "Blåbær & Ølbrygging, 2. utgave!", "blabaer-olbrygging-2-utgave"),
        ("slugify", "Ærlig talt, Café", "aerlig-talt-cafe"),
        ("count_words", "to ord", "2"),
    ],
)
def test_the_text_tools_work(tmp_path: Path, name: str, text: str, result: str) -> None:
    (tmp_path / "text_tools.py").write_text(read_template("text-tools")["text_tools.py"])
    made = load_tool(f"text_tools:{name}", tmp_path)
    assert anyio.run(made.function, ToolCall("1", {"text": text}, "key")) == result


def test_an_unknown_template_names_the_known_ones() -> None:
    with pytest.raises(SpecError) as raised:
        read_template("analist")
    assert "analyst, remote, text-tools" in raised.value.cure
