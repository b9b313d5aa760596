import sys
from pathlib import Path

import pytest

from agentkit.errors import SpecError
from agentkit.spec import load_spec, read_template, template_names


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


def test_the_functions_of_the_text_tools_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text_tools.py").write_text(read_template("text-tools")["text_tools.py"])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "text_tools", raising=False)
    import text_tools  # noqa: PLC0415 - it exists only now

    assert text_tools.slugify("Blåbær & Ølbrygging, 2. utgave!") == "blabaer-olbrygging-2-utgave"
    assert text_tools.slugify("Ærlig talt, Café") == "aerlig-talt-cafe"
    assert text_tools.count_words("to ord") == 2


def test_an_unknown_template_names_the_known_ones() -> None:
    with pytest.raises(SpecError) as raised:
        read_template("analist")
    assert "analyst, remote, text-tools" in raised.value.cure
