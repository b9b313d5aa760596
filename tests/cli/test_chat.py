from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from agentkit.errors import StartupRefused
from tests.cli.fake_openai import Reply, serve
from tests.cli.fresh import COMMAND, SHOUT, environment, run_process, write_spec

if TYPE_CHECKING:
    from pathlib import Path


def test_a_conversation_keeps_its_turns_and_answers_commands(tmp_path: Path) -> None:
    shout = Reply(calls=(("shout", {"text": "one"}),))
    with serve(shout, Reply("ONE!"), Reply("You said one.")) as fake:
        spec = write_spec(tmp_path, fake.url, SHOUT)
        lines = "/help\n/sources\none\n/sources\n/audit\n\n/fly\nwhat did I say?\n/quit\nnever\n"
        done = run_process("chat", spec, input=lines)
    assert done.returncode == 0, done.stderr
    assert "what the last answer rests on" in done.stdout
    assert "none but your words" in done.stdout
    assert "tool:shout#1.1.1" in done.stdout
    assert str(tmp_path / "audit-log") in done.stdout
    assert "there is no command /fly" in done.stderr
    spoken = [message.get("content") for message in fake.requests[2]["messages"]]
    assert spoken[1] == "one"
    assert spoken[-1] == "what did I say?"
    assert len(fake.requests) == 3


def test_a_turn_that_fails_does_not_end_the_conversation(tmp_path: Path) -> None:
    with serve(Reply("broken", status=400), Reply("fine")) as fake:
        done = run_process("chat", write_spec(tmp_path, fake.url), input="one\ntwo\n")
    assert done.returncode == 0, done.stderr
    assert "error: " in done.stderr
    assert "│ fine" in done.stdout
    assert [m["content"] for m in fake.requests[1]["messages"] if m["role"] == "user"] == ["two"]


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_a_line_that_is_no_utf_8_does_not_end_the_conversation(tmp_path: Path, locale: str) -> None:
    with serve(Reply("fine")) as fake:
        done = subprocess.run(
            [*COMMAND, "chat", str(write_spec(tmp_path, fake.url))],
            input=b"good one\nbl\xe5b\xe6r\nnext\n",
            env=environment(LC_ALL=locale),
            capture_output=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(b"error: the message is not UTF-8\n") == 1
    asked = [request["messages"][-1]["content"] for request in fake.requests]
    assert asked == ["good one", "next"]


def test_a_refused_start_is_one_error(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    spec.write_text(spec.read_text().replace("Qwen/Qwen3-30B-A3B", "nobody/knows-this"))
    done = run_process("chat", spec, input="hi\n")
    assert done.returncode == StartupRefused.exit_code
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
