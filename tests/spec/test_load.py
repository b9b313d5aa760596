import hashlib
import io
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from agentkit.errors import SpecError
from agentkit.model.protocol import GenerationSettings
from agentkit.sandbox.interface import Limits, Tier
from agentkit.spec import (
    AgentSpec,
    EmbeddedModel,
    LocalModel,
    RemoteModel,
    SpecProblems,
    ToolSpec,
    load_spec,
)

FULL = Path(__file__).parent / "full.yaml"
ENVIRON = {"MODEL_API_KEY": "sk-model", "GUARD_API_KEY": "sk-guard", "OTHER": "x"}


def test_the_smallest_file_has_eight_lines_and_all_guards_on(
    smallest: str, write: Callable[[str | bytes], Path]
) -> None:
    loaded = load_spec(write(smallest), environ={})
    spec = loaded.spec
    assert len(smallest.splitlines()) == 8
    assert spec.model == EmbeddedModel(source="embedded")
    assert spec.deployment.principal.country == "NO"
    assert spec.deployment.principal.affiliates is None
    assert spec.tools == {}
    assert spec.sandbox.tier is Tier.WASM
    assert spec.guards.user_input == ("hidden_text", "injection", "secrets")
    assert spec.guards.tool_arguments == ("hidden_text", "secrets")
    assert spec.guards.tool_result == ("hidden_text", "injection", "secrets")
    assert spec.guards.model_output == ("hidden_text", "secrets")
    assert loaded.secrets == ()
    assert loaded.sha256 == hashlib.sha256(smallest.encode()).hexdigest()


def test_a_full_file_gives_every_value_it_names() -> None:
    loaded = load_spec(FULL, environ=ENVIRON)
    spec = loaded.spec
    assert isinstance(spec.model, RemoteModel)
    assert spec.model.revision == "2026-05-01"
    assert spec.model.api_key is not None
    assert spec.model.api_key.reveal() == "sk-model"
    assert spec.model.generation.settings == GenerationSettings(256, 0.5, 0.9, 7)
    assert spec.sandbox.limits == Limits(2.5, 512, 8 * 1024, 1024 * 1024)
    assert spec.tools["python"] == ToolSpec()
    assert spec.tools["slugify"].arguments is not None
    assert spec.guards.tool_arguments == spec.guards.user_input
    assert spec.guards.llama_guard is not None
    assert spec.guards.llama_guard.version == 4
    assert spec.deployment.review is not None
    assert spec.deployment.review.expires == date(2027, 10, 1)
    assert "${verktøy}" in spec.instructions
    assert loaded.secrets == ("GUARD_API_KEY", "MODEL_API_KEY")


def test_a_full_file_leaves_nothing_at_its_default() -> None:
    spec = load_spec(FULL, environ=ENVIRON).spec
    for section in (spec, spec.model, spec.deployment, spec.deployment.principal, spec.guards):
        for name in type(section).model_fields:
            assert name in section.model_fields_set, name


def test_what_is_dumped_loads_again_to_the_same(write: Callable[[str | bytes], Path]) -> None:
    spec = load_spec(FULL, environ=ENVIRON).spec
    text = io.StringIO()
    YAML(typ="safe", pure=True).dump(spec.model_dump(mode="json"), text)
    assert "sk-" not in text.getvalue()
    assert load_spec(write(text.getvalue()), environ=ENVIRON).spec == spec


def test_a_local_model_is_a_path_or_a_pinned_id(
    smallest: str, write: Callable[[str | bytes], Path]
) -> None:
    by_path = smallest.replace("embedded", "local, path: ./w")
    by_id = smallest.replace("embedded", f"local, id: allenai/OLMoE, revision: {'ab' * 20}")
    assert load_spec(write(by_path)).spec.model == LocalModel(source="local", path="./w")
    assert load_spec(write(by_id)).spec.model == LocalModel(
        source="local", id="allenai/OLMoE", revision="ab" * 20
    )


def test_a_place_names_the_key_or_the_nearest_one_above(
    smallest: str, write: Callable[[str | bytes], Path]
) -> None:
    path = write(smallest)
    loaded = load_spec(path)
    assert loaded.place("deployment", "principal", "country") == f"{path}:8:5"
    assert loaded.place("deployment", "principal", "affiliates") == f"{path}:5:3"
    assert loaded.place("limits", "steps") == f"{path}:1:1"


def test_paths_begin_at_the_file(
    smallest: str, write: Callable[[str | bytes], Path], tmp_path: Path
) -> None:
    loaded = load_spec(write(smallest))
    assert loaded.resolve("./audit-log") == tmp_path / "audit-log"
    assert loaded.resolve("/var/log/x") == Path("/var/log/x")
    assert loaded.resolve("~/weights") == Path.home() / "weights"


def test_a_byte_order_mark_and_windows_line_ends_are_read(
    smallest: str, write: Callable[[str | bytes], Path]
) -> None:
    windows = b"\xef\xbb\xbf" + smallest.replace("\n", "\r\n").encode()
    assert load_spec(write(windows)).spec == load_spec(write(smallest)).spec
    with pytest.raises(SpecProblems) as raised:
        load_spec(write(windows.replace(b"name: analyst", b"nam: analyst")))
    assert raised.value.place.endswith(":1:1")
    assert [(found.line, found.column) for found in raised.value.problems] == [(1, 1), (2, 1)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_unicode_encodings_are_named(
    encoding: str, smallest: str, write: Callable[[str | bytes], Path]
) -> None:
    with pytest.raises(SpecProblems, match="not UTF-8 but UTF-16 or UTF-32") as raised:
        load_spec(write(smallest.encode(encoding)))
    assert raised.value.cure == "save the file as UTF-8 in your editor"


@pytest.mark.parametrize("content", ["", "\n\n", "# only a comment\n"])
def test_an_empty_file_says_how_to_begin(
    content: str, write: Callable[[str | bytes], Path]
) -> None:
    with pytest.raises(SpecProblems, match="the file is empty") as raised:
        load_spec(write(content))
    assert "agentkit init" in raised.value.cure


def test_missing_unreadable_and_special_files_have_their_cure(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such file") as missing:
        load_spec(tmp_path / "absent.yaml")
    assert "agentkit init" in missing.value.cure
    with pytest.raises(SpecError, match="not a file"):
        load_spec(tmp_path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(SpecError, match="not a file"):
        load_spec(pipe)
    with pytest.raises(SpecError, match="cannot be read"):
        load_spec("a\0b")
    with pytest.raises(SpecError, match="cannot be read"):
        load_spec("a" * 5000)


def test_a_huge_file_is_refused_unread(write: Callable[[str | bytes], Path]) -> None:
    with pytest.raises(SpecError, match="larger than 1024 KiB"):
        load_spec(write(b"#" * (1024 * 1024 + 1)))


def test_many_problems_are_all_kept_and_few_are_shown(
    smallest: str, write: Callable[[str | bytes], Path]
) -> None:
    with pytest.raises(SpecProblems) as raised:
        load_spec(write(smallest + "".join(f"key{number}: 1\n" for number in range(300))))
    assert len(raised.value.problems) == 300
    assert "300 problems" in str(raised.value)
    assert "and 275 more" in str(raised.value)
    assert raised.value.exit_code == SpecError.exit_code


def test_a_specification_cannot_be_changed(
    smallest: str, write: Callable[[str | bytes], Path]
) -> None:
    spec = load_spec(write(smallest)).spec
    with pytest.raises(ValidationError):
        spec.name = "other"  # type: ignore[misc]  # the point of the test


def test_python_code_is_held_to_the_same_rules() -> None:
    with pytest.raises(ValidationError, match="names no model"):
        LocalModel(source="local")
    with pytest.raises(ValidationError, match="no built-in tool"):
        AgentSpec.model_validate(
            {
                "version": 1,
                "name": "x",
                "model": {"source": "embedded"},
                "deployment": {"principal": {"name": "x", "kind": "company", "country": "NO"}},
                "tools": {"wolfram": {}},
            }
        )
