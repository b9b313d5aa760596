"""Each file in malformed/ begins with the problems it must give: `# expect LINE:COLUMN … ~ fix`."""

from pathlib import Path

import pytest

from agentkit.spec import SpecProblems, load_spec

FILES = sorted((Path(__file__).parent / "malformed").glob("*.yaml"))
SECRET = "hunter2hunter2"
ENVIRON = {"MODEL_API_KEY": f"sk-{SECRET}", "EMPTY_API_KEY": ""}


def problems_of(path: Path) -> SpecProblems:
    with pytest.raises(SpecProblems) as raised:
        load_spec(path, environ=ENVIRON)
    return raised.value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_problem_is_said_with_its_place_and_its_fix(path: Path) -> None:
    prefix = b"# expect "
    expected = [
        line.removeprefix(prefix).decode()
        for line in path.read_bytes().splitlines()
        if line.startswith(prefix)
    ]
    error = problems_of(path)
    assert expected
    assert [
        f"{found.line}:{found.column} {found.message} ~ {found.fix}" for found in error.problems
    ] == expected
    first = error.problems[0]
    assert error.place == f"{path}:{first.line}:{first.column}"
    for found in error.problems:
        assert found.message in str(error)
        assert found.fix in str(error)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_place_points_at_the_quoted_text(path: Path) -> None:
    lines = path.read_text(encoding="latin-1" if path.stem == "latin_1" else "utf-8").splitlines()
    for found in problems_of(path).problems:
        if found.text and not found.text.startswith(("U+", "0x", "!!", "\\t")):
            written = lines[found.line - 1][found.column - 1 :].lstrip("'\"")
            expected = found.text.split("\n", maxsplit=1)[0]
            assert written.replace("\\n", "\n").startswith(expected)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_message_holds_a_secret_or_a_phrase_of_a_library(path: Path) -> None:
    error = problems_of(path)
    text = str(error).replace(str(path), "")
    assert SECRET not in text
    assert all(SECRET not in found.text for found in error.problems)
    assert "4815162342" not in text
    for phrase in ("pydantic", "Input should", "errors.", "ruamel", "jsonschema", "_type"):
        assert phrase not in text


def test_there_are_many_kinds_of_mistake() -> None:
    assert len(FILES) >= 100
