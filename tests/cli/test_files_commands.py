"""init, validate, licence, schema, doctor: what they write and say."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from agentkit.errors import SpecError, StartupRefused, ToolError
from agentkit.spec import template_names
from tests.cli.fresh import SHOUT, run_process, write_spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result


@pytest.mark.parametrize("template", template_names())
def test_each_template_is_written_and_valid(
    cli: Callable[..., Result], tmp_path: Path, template: str
) -> None:
    assert cli("init", tmp_path / "new", "--template", template).exit_code == 0
    result = cli("validate", tmp_path / "new" / "agent.yaml")
    assert result.exit_code == 0, result.stderr
    assert "valid" in result.stdout


def test_nothing_is_overwritten_unless_asked(cli: Callable[..., Result], tmp_path: Path) -> None:
    mine = tmp_path / "text_tools.py"
    mine.write_text("mine")
    result = cli("init", tmp_path, "--template", "text-tools")
    assert result.exit_code == 1
    assert mine.read_text() == "mine"
    assert not (tmp_path / "agent.yaml").exists()
    assert cli("init", tmp_path, "--template", "text-tools", "--force").exit_code == 0
    assert mine.read_text() != "mine"


def test_a_folder_that_cannot_be_written_is_an_error(
    cli: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    result = cli("init", tmp_path / "file" / "new")
    assert result.exit_code == 1
    assert "cure: " in result.stderr


def test_the_next_command_can_be_pasted(cli: Callable[..., Result], tmp_path: Path) -> None:
    folder = tmp_path / "Åse mappe" / "min agent"
    shown = cli("init", folder).stdout
    line = next(line for line in shown.splitlines() if line.strip().startswith("next"))
    assert shlex.split(line)[1:] == ["agentkit", "validate", str(folder / "agent.yaml")]


def test_templates_are_listed(cli: Callable[..., Result]) -> None:
    shown = cli("init", "--list").stdout
    assert all(name in shown for name in template_names())
    unknown = cli("init", "--template", "nope")
    assert unknown.exit_code == SpecError.exit_code


def test_every_problem_is_said_with_its_place_and_fix(tmp_path: Path) -> None:
    spec = write_spec(tmp_path, more="tols: {}\nlimits: {steps: many}\n")
    done = run_process("validate", spec)
    assert done.returncode == SpecError.exit_code
    assert done.stdout == ""
    line = spec.read_text().splitlines().index("tols: {}") + 1
    assert f"error: {spec}:{line}:1: " in done.stderr
    assert f"error: {spec}:{line + 1}:17: " in done.stderr
    assert done.stderr.count("  cure: ") == 2
    assert "2 problems" in done.stderr
    result = json.loads(run_process("validate", spec, "--json").stdout)
    assert [found["line"] for found in result["error"]["problems"]] == [line, line + 1]


@pytest.mark.parametrize("url", ["https://bob:hunter2@h.example/v1", "https:/bob:hunter2@h/v1"])
def test_a_password_in_a_url_is_never_printed(
    cli: Callable[..., Result], tmp_path: Path, url: str
) -> None:
    spec = tmp_path / "agent.yaml"
    spec.write_text(LLAMA.replace("http://127.0.0.1:9/v1", url))
    for options in ([], ["--json"]):
        result = cli("validate", spec, *options)
        assert result.exit_code == SpecError.exit_code
        assert "hunter2" not in result.stdout + result.stderr


def test_half_a_character_is_a_mistake_in_the_file(
    cli: Callable[..., Result], tmp_path: Path
) -> None:
    spec = tmp_path / "agent.yaml"
    spec.write_text(LLAMA.replace("name: Beispiel GmbH", 'name: "B\\ud800"'))
    for command in ("validate", "licence"):
        result = cli(command, spec)
        assert result.exit_code == SpecError.exit_code
        assert f"error: {spec}:10:21: " in result.stderr


def test_what_cannot_be_read_is_told_with_place_and_cure_in_json_too(
    cli: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the system says of a file of somebody else; root is never told so.
    monkeypatch.setattr("os.access", lambda *_, **__: False)
    result = cli("validate", tmp_path, "--json")
    assert result.exit_code == SpecError.exit_code
    error = json.loads(result.stdout)["error"]
    assert error["place"] == str(tmp_path)
    assert error["cure"]


def test_custom_tools_are_loaded(cli: Callable[..., Result], tmp_path: Path) -> None:
    assert cli("validate", write_spec(tmp_path, more=SHOUT)).exit_code == 0
    spec = write_spec(tmp_path, more=SHOUT.replace("shout}", "whisper}"))
    result = cli("validate", spec)
    assert result.exit_code == ToolError.exit_code
    assert f"error: {spec}:" in result.stderr


LLAMA = """\
version: 1
name: eu
model:
  source: remote
  url: http://127.0.0.1:9/v1
  id: scout
  base_model: meta-llama/Llama-4-Scout-17B-16E-Instruct
  access: self_hosted
deployment:
  principal: {name: Beispiel GmbH, kind: company, country: DE, affiliates: [], staff_countries: []}
  distribution: internal
"""


def test_a_licence_that_forbids_is_told_before_anything_starts(
    cli: Callable[..., Result], tmp_path: Path
) -> None:
    spec = tmp_path / "agent.yaml"
    spec.write_text(LLAMA)
    result = cli("validate", spec)
    assert result.exit_code == StartupRefused.exit_code
    assert "licence    deny" in result.stdout
    assert "rule llama.eu_multimodal" in result.stderr
    assert not (tmp_path / "audit-log").exists()


def test_the_licence_is_explained_clause_by_clause(
    cli: Callable[..., Result], tmp_path: Path
) -> None:
    spec = tmp_path / "agent.yaml"
    spec.write_text(LLAMA)
    result = cli("licence", spec)
    assert result.exit_code == StartupRefused.exit_code
    assert "May Beispiel GmbH run scout?" in result.stdout
    assert "llama.eu_multimodal" in result.stdout
    found = json.loads(cli("licence", spec, "--json").stdout)
    assert found["ok"] is False
    rules = {finding["rule"]: finding for finding in found["decisions"][0]["findings"]}
    assert rules["llama.eu_multimodal"]["outcome"] == "deny"
    assert cli("licence", write_spec(tmp_path / "b")).exit_code == 0


def test_the_schema_is_a_schema_that_accepts_the_templates(
    cli: Callable[..., Result], tmp_path: Path
) -> None:
    schema = json.loads(cli("schema").stdout)
    Draft202012Validator.check_schema(schema)
    cli("schema", "--output", tmp_path / "s.json")
    assert json.loads((tmp_path / "s.json").read_text()) == schema
    cli("init", tmp_path / "new")
    plain = YAML(typ="safe").load((tmp_path / "new" / "agent.yaml").read_text())
    Draft202012Validator(schema).validate(plain)


def test_the_doctor_says_what_is_there(cli: Callable[..., Result]) -> None:
    result = json.loads(cli("doctor", "--json").stdout)
    states = {check["check"]: check for check in result["checks"]}
    assert states["Python"]["state"] == "ok"
    assert all(check["cure"] for check in result["checks"] if check["state"] == "missing")
    shown = run_process("doctor").stdout
    for name in states:
        assert sum(line.strip().startswith(name) for line in shown.splitlines()) == 1


def test_the_doctor_tries_to_write_the_cache(
    cli: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def row() -> dict[str, str]:
        checks = json.loads(cli("doctor", "--json").stdout)["checks"]
        (found,) = [check for check in checks if check["check"] == "cache folder"]
        return found

    monkeypatch.setenv("AGENTKIT_CACHE", str(tmp_path / "new" / "cache"))
    assert row()["state"] == "ok"
    assert [*tmp_path.iterdir()] == []
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AGENTKIT_CACHE", str(tmp_path / "file" / "cache"))
    assert row()["state"] == "missing"
    assert "AGENTKIT_CACHE" in row()["cure"]
    assert "cannot run" in cli("doctor").stdout


def test_the_doctor_looks_past_a_folder_that_is_closed_to_it(
    cli: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = os.stat

    def stat(path: object, **options: Any) -> os.stat_result:
        if str(path).startswith(f"{tmp_path}/"):
            raise PermissionError(13, "Permission denied", path)
        return look(path, **options)  # type: ignore[call-overload]  # whatever os.stat takes

    monkeypatch.setenv("AGENTKIT_CACHE", str(tmp_path / "closed" / "cache"))
    monkeypatch.setattr("os.stat", stat)
    result = cli("doctor", "--json")
    assert "embedded model" in {check["check"] for check in json.loads(result.stdout)["checks"]}


def test_the_doctor_names_a_missing_package_and_an_absent_engine(tmp_path: Path) -> None:
    blocked = tmp_path / "sitecustomize.py"
    blocked.write_text(
        "import importlib.metadata as found\n"
        "whole = found.version\n"
        "def version(name):\n"
        "    if name == 'llguidance':\n"
        "        raise found.PackageNotFoundError(name)\n"
        "    return whole(name)\n"
        "found.version = version\n"
    )
    environment = {
        "DOCKER_HOST": f"unix://{tmp_path}/nobody.sock",
        "AGENTKIT_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}",
    }
    done = run_process("doctor", env=environment)
    assert done.returncode == 1, done.stderr
    lines = {line.split("  ")[0].strip(): line for line in done.stdout.splitlines() if line.strip()}
    assert "missing" in lines["llguidance"]
    assert "pip install" in lines["llguidance"]
    assert "optional" in lines["docker engine"]
    assert "later" in lines["wasm guest"]
    assert "later" in lines["embedded model"]
    demo = run_process("demo", env=environment, cwd=tmp_path)
    assert demo.returncode == 1
    assert demo.stderr.count("\n") == 1
    assert "llguidance" in demo.stderr
    assert not (tmp_path / ".demo").exists()


def test_a_misspelt_parameter_in_a_constraint_is_told(
    cli: Callable[..., Result], tmp_path: Path
) -> None:
    tools = "tools: {python: {arguments: {properties: {cod: {maxLength: 4}}}}}\n"
    result = cli("validate", write_spec(tmp_path, more=tools))
    assert result.exit_code == SpecError.exit_code
    assert "python has no parameter 'cod'" in result.stderr
    assert "name one of: code" in result.stderr
