from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING

from agentkit.audit import EventKind, read_events, verify
from agentkit.errors import BackendError, TurnStopped
from tests.cli.fake_openai import Reply, serve
from tests.cli.fresh import COMMAND, PAY, PYTHON, SHOUT, environment, run_process, write_spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

ASK = Reply(calls=(("shout", {"text": "hei på deg"}),))
SAY = Reply("HEI PÅ DEG! [bold]x[/bold]")


def test_a_turn_is_shown_from_startup_to_receipt(
    cli: Callable[..., Result], tmp_path: Path
) -> None:
    with serve(ASK, SAY) as fake:
        result = cli("run", write_spec(tmp_path, fake.url, SHOUT), "Shout hei på deg")
    assert result.exit_code == 0, result.output
    shown = result.stdout
    for section in ("Startup", "Question", "Step 1", "Step 2", "Answer"):
        assert f"\n{section}\n" in shown
    assert "gate       allow    by allowlist, schema, constraints" in shown
    assert "HEI PÅ DEG! [bold]x[/bold]" in shown
    assert "tool:shout#1.1.1" in shown
    report = verify(tmp_path / "audit-log")
    assert report.ok
    assert f"run {next(iter(read_events(tmp_path / 'audit-log'))).record.run_id}" in shown
    assert fake.requests[0]["messages"][-1]["content"] == "Shout hei på deg"


def test_json_is_all_that_stdout_holds(tmp_path: Path) -> None:
    with serve(Reply(calls=(("python", {"code": "print(17 * 23)"}),)), Reply("391")) as fake:
        done = run_process("run", write_spec(tmp_path, fake.url, PYTHON), "17*23?", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert done.stdout.isascii()
    assert result["ok"] is True
    assert result["answer"]["text"] == "391"
    assert next(check["check"] for check in result["startup"]) == "licence"
    events = {event["event"]: event for event in result["events"]}
    assert events["decision"]["outcome"] == "allow"
    assert events["result"]["tier"] == "wasm"
    assert events["result"]["text"] == "391"
    receipt = result["answer"]["receipt"]
    entry = list(read_events(tmp_path / "audit-log"))[receipt["index"]]
    assert entry.record.kind is EventKind.ANSWER
    assert entry.record.leaf_hash == receipt["leaf_hash"]


def test_what_a_tool_prints_is_no_part_of_the_json(tmp_path: Path) -> None:
    with serve(ASK, Reply("done")) as fake:
        spec = write_spec(tmp_path, fake.url, SHOUT)
        tools = tmp_path / "my_tools.py"
        loud = tools.read_text().replace("    return text", '    print("called")\n    return text')
        tools.write_text('print("loaded")\n' + loud)
        done = run_process("run", spec, "Shout", "--json")
        checked = run_process("validate", spec, "--json")
    assert json.loads(done.stdout)["answer"]["text"] == "done"
    assert done.stderr.split() == ["loaded", "called"]
    assert json.loads(checked.stdout)["ok"] is True
    assert checked.stderr == "loaded\n"


def test_the_message_may_come_through_a_pipe(cli: Callable[..., Result], tmp_path: Path) -> None:
    with serve(Reply("ok")) as fake:
        spec = write_spec(tmp_path, fake.url)
        result = cli("run", spec, "-", input="Blåbær?\n")
        latin = cli("run", spec, "-", input="Blåbær?".encode("latin-1"))
        empty = cli("run", spec, "  ")
    assert result.exit_code == 0
    assert fake.requests[0]["messages"][-1]["content"] == "Blåbær?"
    assert latin.exit_code == 1
    assert "not UTF-8" in latin.stderr
    assert empty.exit_code == 1
    assert len(fake.requests) == 1


def test_output_of_a_model_cannot_steer_the_terminal(tmp_path: Path) -> None:
    tool = Reply(calls=(("shout", {"text": "fine"}),))
    with serve(tool, Reply("a\u202eb[red]c")) as fake:
        done = run_process("run", write_spec(tmp_path, fake.url, SHOUT), "Go")
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    assert "[red]c" in done.stdout or done.returncode == TurnStopped.exit_code


def test_a_failing_backend_is_one_error_with_its_code(tmp_path: Path) -> None:
    with serve(Reply("no such model", status=404)) as fake:
        done = run_process("run", write_spec(tmp_path, fake.url), "Hei", "--json")
    assert done.returncode == BackendError.exit_code
    result = json.loads(done.stdout)
    assert result["ok"] is False
    assert result["error"]["exit_code"] == BackendError.exit_code
    assert done.stderr.startswith("error: ")
    assert "  cure: " in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_terminal_nobody_approves(tmp_path: Path) -> None:
    pay = Reply(calls=(("pay", {"amount": 5, "note": "rent"}),))
    with serve(pay, Reply("It was not allowed.")) as fake:
        spec = write_spec(tmp_path, fake.url, PAY)
        done = run_process("run", spec, "Pay 5 for rent", input="y\ny\ny\n")
    assert done.returncode == 0, done.stderr
    assert "ask      rule approval" in done.stdout
    assert "refused" in done.stdout
    assert "no terminal" in done.stdout
    kinds = [entry.record.kind for entry in read_events(tmp_path / "audit-log")]
    assert EventKind.APPROVAL in kinds
    assert EventKind.INTENT not in kinds


def test_there_is_no_way_to_approve_in_advance(cli: Callable[..., Result], tmp_path: Path) -> None:
    for option in ("--yes", "-y", "--auto-approve"):
        assert cli("run", write_spec(tmp_path), "Hei", option).exit_code == 2


def test_ctrl_c_ends_the_turn_and_leaves_a_log_that_verifies(tmp_path: Path) -> None:
    with serve(Reply("late", delay_s=20)) as fake:
        spec = write_spec(tmp_path, fake.url)
        process = subprocess.Popen(
            [*COMMAND, "run", str(spec), "Hei"],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert fake.asked.wait(60)
        os.kill(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr.strip() == "interrupted"
    report = verify(tmp_path / "audit-log")
    assert report.ok
    assert report.torn_bytes == 0
    last = list(read_events(tmp_path / "audit-log"))[-1]
    assert last.record.kind is EventKind.TURN_ENDED
    assert last.record.body["reason"] == "cancelled"


def test_a_closed_pipe_is_no_failure_worth_words(tmp_path: Path) -> None:
    with serve(Reply("line\n" * 2000)) as fake:
        spec = write_spec(tmp_path, fake.url)
        done = subprocess.run(  # noqa: S602 - the shell's pipe is what is tested
            f"{' '.join(COMMAND)} run {spec} Hei | head -n 1",
            shell=True,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert "Traceback" not in done.stderr
    assert "defect" not in done.stderr
