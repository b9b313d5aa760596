"""``agentkit sandbox run``: output as it comes, artifacts as files, the reason as exit code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from agentkit.sandbox.packages import PackageLock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result


@pytest.mark.parametrize(
    ("code", "exit_code", "says"),
    [
        ("print('fine')", 0, ""),
        ("print('fine'); 1 / 0", 1, "error: ZeroDivisionError"),
        ("print('fine')\nwhile True: pass", 20, "timeout: "),
        ("print('fine'); x = 'a'\nwhile True: x += x", 21, "memory: "),
        ("print('fine'); print('a' * 99_999)", 22, "output: "),
        ("print('fine'); import socket; socket.create_connection(('127.0.0.1', 1))", 23, "wasi"),
        ("print('fine'); import os; os._exit(0)", 24, "lost: "),
    ],
)
def test_the_exit_code_says_how_the_code_ended(
    code: str, exit_code: int, says: str, cli: Callable[..., Result], tmp_path: Path
) -> None:
    file = tmp_path / "code.py"
    file.write_text(code, encoding="utf-8")
    result = cli("sandbox", "run", file, "--timeout", "3")
    assert result.exit_code == exit_code
    assert result.stdout.startswith("fine\n")
    assert says in result.stderr


def test_files_go_in_and_artifacts_come_out(cli: Callable[..., Result], tmp_path: Path) -> None:
    file, data, out = tmp_path / "code.py", tmp_path / "in.csv", tmp_path / "made"
    file.write_text("open('deep/up.csv', 'w').write(open('in.csv').read().upper())")
    data.write_text("a,b\n")
    result = cli("sandbox", "run", file, "--files", data, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert (out / "deep" / "up.csv").read_text() == "A,B\n"
    assert "wrote" in result.stderr
    again = cli("sandbox", "run", file, "--files", data, "--out", out)
    assert again.exit_code == 1
    assert "cure: name an empty folder" in again.stderr


def test_an_artifact_does_not_follow_a_link_out(cli: Callable[..., Result], tmp_path: Path) -> None:
    file, out, outside = tmp_path / "code.py", tmp_path / "made", tmp_path / "outside"
    file.write_text("open('link/x.txt', 'w').write('x')")
    out.mkdir()
    outside.mkdir()
    (out / "link").symlink_to(outside)
    result = cli("sandbox", "run", file, "--out", out)
    assert result.exit_code == 1
    assert "leads out of the folder" in result.stderr
    assert list(outside.iterdir()) == []


def test_json_is_one_object_and_nothing_else(cli: Callable[..., Result]) -> None:
    code = "print('\\x1b[2J'); [{'a': 1}]"
    result = cli("sandbox", "run", "-", "--json", input=code)
    found = json.loads(result.stdout)
    assert found["ok"]
    assert found["value"] == [{"a": 1}]
    assert found["stdout"] == "\x1b[2J\n"
    assert found["artifacts"] == [
        {"name": "table-1.json", "kind": "table", "media_type": "application/json", "bytes": 45}
    ]
    assert "\x1b" not in result.stdout


def test_two_files_of_one_name_are_refused(cli: Callable[..., Result], tmp_path: Path) -> None:
    given = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "sales.csv").write_text(folder)
        given += ["--files", tmp_path / folder / "sales.csv"]
    result = cli("sandbox", "run", "-", *given, input="print(1)")
    assert result.exit_code == 1
    assert f"error: {tmp_path}/two/sales.csv: has the same name as" in result.stderr


def test_time_without_end_is_refused(cli: Callable[..., Result]) -> None:
    result = cli("sandbox", "run", "-", "--timeout", "inf", input="print(1)")
    assert result.exit_code == 2
    assert "give a number of seconds" in result.stderr


def test_packages_are_listed_by_their_whole_names(cli: Callable[..., Result]) -> None:
    shown = cli("sandbox", "packages", "list").stdout
    rows = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line.strip()}
    for name, package in PackageLock.load().packages.items():
        kind = "pure" if package.pure_wheels else "compiled"
        assert rows[name][:3] == [package.version, str(len(package.wheels)), kind]


def test_a_missing_file_has_a_cure(cli: Callable[..., Result], tmp_path: Path) -> None:
    result = cli("sandbox", "run", tmp_path / "none.py")
    assert result.exit_code == 1
    assert "cure: name a readable file" in result.stderr
