from __future__ import annotations

import importlib
import json
import pkgutil
import re
from typing import TYPE_CHECKING

import pytest

import agentkit
from agentkit.cli.app import app
from agentkit.cli.failures import DEFECT, INTERRUPTED, show_error
from agentkit.cli.screen import Screen
from agentkit.errors import AgentkitError, SandboxError, StartupRefused, TurnStopped
from tests.cli.fresh import ROOT, run_process, write_spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import typer
    from typer.testing import Result

PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
DOCUMENTED = {
    int(code): meaning for code, meaning in re.findall(r"^\| (\d+) \| (.+?) \|", PAGE, re.MULTILINE)
}


def every_error(root: type[AgentkitError] = AgentkitError) -> list[type[AgentkitError]]:
    for module in pkgutil.walk_packages(agentkit.__path__, "agentkit."):
        if ".guest" not in module.name and "__main__" not in module.name:
            importlib.import_module(module.name)
    found = [root]
    for error in found:
        found.extend(error.__subclasses__())
    return found


def test_every_error_leaves_with_a_documented_code() -> None:
    errors = every_error()
    assert len(errors) > 10
    for error in errors:
        assert f"`{error.__name__}`" in DOCUMENTED.get(error.exit_code, ""), error.__name__


def test_the_codes_that_are_no_error_of_ours_are_documented() -> None:
    assert {0, 2, DEFECT, INTERRUPTED} <= DOCUMENTED.keys()


def test_every_command_is_documented_and_helps_with_an_example(cli: Callable[..., Result]) -> None:
    def commands(group: typer.Typer, before: str = "") -> list[str]:
        own = [
            f"{before}{command.name or command.callback.__name__}"  # type: ignore[union-attr]  # each has one
            for command in group.registered_commands
        ]
        for sub in group.registered_groups:
            own += commands(sub.typer_instance, f"{before}{sub.name} ")  # type: ignore[arg-type]  # set above
        return own

    names = commands(app)
    assert len(names) == 31
    for name in names:
        assert f"agentkit {name}" in PAGE, name
        result = cli(*name.split(), "--help")
        assert result.exit_code == 0
        assert f"Example: agentkit {name}" in re.sub(r"\s+", " ", result.stdout), name


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["run"], 2),
        (["fly"], 2),
        (["run", "a", "b", "--wings"], 2),
        (["sandbox", "check", "paper"], 2),
        (["validate", "no-such-file.yaml"], 3),
    ],
)
def test_a_process_leaves_with_the_code(arguments: list[str], code: int, tmp_path: Path) -> None:
    done = run_process(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert bool(done.stdout) == (code == 0)
    assert bool(done.stderr) == (code != 0)
    assert "Traceback" not in done.stderr


def test_a_message_from_elsewhere_cannot_steer_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_error(
        SandboxError("bad \x1b[2J[red]x[/red]", cure="do \x07this", place="a:1"), Screen.here()
    )
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "error: a:1: bad [red]x[/red]\n  cure: do this\n"


@pytest.mark.parametrize(
    "fault",
    [
        RuntimeError("unthought of"),
        ExceptionGroup("many", [ValueError("one")]),
        KeyError("missing"),
    ],
)
def test_a_defect_is_said_in_one_line(
    cli: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    fault: Exception,
) -> None:
    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr("agentkit.cli.validate.load_spec", fail)
    result = cli("validate", tmp_path / "agent.yaml")
    assert result.exit_code == DEFECT
    assert "this is a defect of agentkit" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    with_traceback = cli("--debug", "validate", tmp_path / "agent.yaml")
    assert "Traceback" in with_traceback.stderr
    by_environment = cli("validate", tmp_path / "a.yaml", env={"AGENTKIT_DEBUG": "1"})
    assert "Traceback" in by_environment.stderr


def test_an_error_inside_a_group_of_tasks_is_still_that_error(
    cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        stopped = TurnStopped("too long", reason="wall_s", cure="ask for less")
        raise ExceptionGroup("tasks", [ExceptionGroup("more", [stopped])])

    monkeypatch.setattr("agentkit.cli.validate.load_spec", fail)
    result = cli("validate", tmp_path / "agent.yaml")
    assert result.exit_code == TurnStopped.exit_code
    assert result.stderr == "error: too long\n  cure: ask for less\n"


def test_a_refusal_for_want_of_a_room_leaves_with_that_rooms_code(
    cli: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise StartupRefused("no tier", rule="r", clause="c", cure="x", exit_code=7)

    monkeypatch.setattr("agentkit.cli.validate.load_spec", fail)
    assert cli("validate", tmp_path / "agent.yaml").exit_code == 7


def test_logs_go_to_stderr_in_the_shape_that_was_asked_for(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    done = run_process("--log-level", "debug", "--log-json", "validate", spec, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["ok"] is True
    for line in done.stderr.splitlines():
        json.loads(line)


def test_ascii_terminals_get_escapes_and_no_failure(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    spec.write_text(spec.read_text().replace("test-agent", "blåbær"), encoding="utf-8")
    done = run_process("validate", spec, env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.returncode == 0, done.stderr
    assert "bl\\xe5b\\xe6r" in done.stdout


def test_no_colours_in_a_pipe_nor_where_they_are_not_wanted(tmp_path: Path) -> None:
    done = run_process("doctor", env={"NO_COLOR": "1"})
    assert "\x1b" not in done.stdout + done.stderr
