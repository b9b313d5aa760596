"""The approver, at a real pseudo-terminal that is the controlling one."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio
import pytest

from agentkit.audit import EventKind, read_events, verify
from agentkit.cli.approver import TerminalApprover, os_user
from agentkit.planner import ApprovalRequest, Decision, Evidence, Outcome
from tests.cli.fake_openai import Reply, serve
from tests.cli.fresh import COMMAND, PAY, environment, write_spec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REQUEST = ApprovalRequest(
    "run",
    "1.1.1",
    "pay",
    '{"note": "a\u202eb"}',
    Decision(Outcome.ASK, "provenance", "untrusted", evidence=(Evidence("to", "x", "tool:mail"),)),
)
PAYING = Reply(calls=(("pay", {"amount": 5, "note": "rent"}),))


class Terminal:
    """The person's side of a pseudo-terminal."""

    def __init__(self, process: int, descriptor: int) -> None:
        self.process = process
        self.descriptor = descriptor
        self.shown = ""
        self._seen = 0

    def wait_for(self, text: str, timeout_s: float = 60) -> None:
        """Read until ``text`` was shown, behind what was waited for before."""
        end = time.monotonic() + timeout_s
        while (place := self.shown.find(text, self._seen)) < 0:
            if not self._read(end - time.monotonic()):
                pytest.fail(f"{text!r} was not shown, but:\n{self.shown}")
        self._seen = place + len(text)

    def write(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def exit_code(self, timeout_s: float = 60) -> int:
        """Read to the end; return how the process left."""
        end = time.monotonic() + timeout_s
        while self._read(end - time.monotonic()):
            pass
        while time.monotonic() < end:
            ended, status = os.waitpid(self.process, os.WNOHANG)
            if ended:
                self.process = 0
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.05)
        pytest.fail(f"the process did not end; it showed:\n{self.shown}")

    def _read(self, timeout_s: float) -> bool:
        readable, _, _ = select.select([self.descriptor], [], [], max(timeout_s, 0))
        if not readable:
            return False
        try:
            data = os.read(self.descriptor, 65536)
        except OSError:  # the other side is closed
            return False
        self.shown += data.decode("utf-8", "replace")
        return bool(data)


@contextmanager
def at_terminal(*arguments: str | Path, **more: str) -> Iterator[Terminal]:
    """Run a command with a pseudo-terminal as its controlling one."""
    process, descriptor = pty.fork()
    if process == 0:
        command = [*COMMAND, *map(str, arguments)]
        os.execve(command[0], command, environment(TERM="xterm", COLUMNS="100", **more))  # noqa: S606
    terminal = Terminal(process, descriptor)
    try:
        yield terminal
    finally:
        if terminal.process:
            os.kill(terminal.process, signal.SIGKILL)
            os.waitpid(terminal.process, 0)
        os.close(descriptor)


def approvals(folder: Path) -> list[dict[str, object]]:
    return [
        dict(entry.record.body)
        for entry in read_events(folder / "audit-log")
        if entry.record.kind is EventKind.APPROVAL
    ]


@pytest.mark.parametrize(
    ("typed", "approved"),
    [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("hm\nwhat\nj\n", False)],
)
def test_a_plain_yes_approves_and_nothing_else_does(
    tmp_path: Path, typed: str, approved: bool
) -> None:
    with serve(PAYING, Reply("Done.")) as fake:
        spec = write_spec(tmp_path, fake.url, PAY)
        with at_terminal("run", spec, "Pay 5 for rent", "--approver", "Kari") as terminal:
            terminal.wait_for("[y/N]")
            terminal.write(typed)
            assert terminal.exit_code() == 0, terminal.shown
    assert "pay  (1.1.1)" in terminal.shown
    assert '"amount": 5' in terminal.shown
    (answer,) = approvals(tmp_path)
    assert answer["approved"] is approved
    assert answer["approver"] == "Kari"
    said = json.dumps(fake.requests[1]["messages"][-1])
    assert ("paid 5" in said) is approved


def test_what_was_typed_before_the_question_is_thrown_away(tmp_path: Path) -> None:
    slow = Reply(calls=PAYING.calls, delay_s=1.0)
    with serve(slow, Reply("Done.")) as fake:
        spec = write_spec(tmp_path, fake.url, PAY)
        with at_terminal("run", spec, "Pay 5 for rent") as terminal:
            terminal.wait_for("Question")
            terminal.write("y\n")
            terminal.wait_for("[y/N]")
            terminal.write("n\n")
            assert terminal.exit_code() == 0, terminal.shown
    (answer,) = approvals(tmp_path)
    assert answer["approved"] is False
    assert answer["approver"] == os_user()


def test_ctrl_c_at_the_question_ends_the_run_unapproved(tmp_path: Path) -> None:
    with serve(PAYING, Reply("Done.")) as fake:
        spec = write_spec(tmp_path, fake.url, PAY)
        with at_terminal("run", spec, "Pay 5 for rent") as terminal:
            terminal.wait_for("[y/N]")
            terminal.write("\x03")
            assert terminal.exit_code() == 130, terminal.shown
    assert approvals(tmp_path) == []
    assert verify(tmp_path / "audit-log").ok
    kinds = [entry.record.kind for entry in read_events(tmp_path / "audit-log")]
    assert EventKind.INTENT not in kinds
    assert kinds[-1] is EventKind.TURN_ENDED


def test_a_terminal_that_cannot_be_opened_refuses(tmp_path: Path) -> None:
    approver = TerminalApprover("Kari", terminal=str(tmp_path / "no-terminal"))
    approval = anyio.run(approver.decide, REQUEST)
    assert not approval.approved
    assert approval.approver == ""
    assert "no terminal" in approval.comment


def test_a_file_is_no_terminal(tmp_path: Path) -> None:
    (tmp_path / "answers").write_text("y\n")
    approval = anyio.run(
        TerminalApprover("Kari", terminal=str(tmp_path / "answers")).decide, REQUEST
    )
    assert not approval.approved


def test_the_question_shows_evidence_and_spells_hidden_characters_out() -> None:
    program = (
        "import anyio, sys\n"
        "from agentkit.cli.approver import TerminalApprover\n"
        "from tests.cli.test_approver import REQUEST\n"
        "sys.exit(0 if anyio.run(TerminalApprover('Kari').decide, REQUEST).approved else 1)\n"
    )
    process, descriptor = pty.fork()
    if process == 0:
        os.execve(sys.executable, [sys.executable, "-c", program], environment())  # noqa: S606
    terminal = Terminal(process, descriptor)
    try:
        terminal.wait_for("[y/N]")
        terminal.write("yes\n")
        assert terminal.exit_code() == 0
    finally:
        os.close(descriptor)
    assert "a\\u202eb" in terminal.shown
    assert "\u202e" not in terminal.shown
    assert "to = x  from tool:mail" in terminal.shown


def test_a_conversation_survives_ctrl_c(tmp_path: Path) -> None:
    with serve(Reply("never seen", delay_s=3), Reply("second answer")) as fake:
        spec = write_spec(tmp_path, fake.url)
        with at_terminal("chat", spec) as terminal:
            terminal.wait_for("you> ")
            terminal.write("first\n")
            assert fake.asked.wait(60)
            terminal.write("\x03")
            terminal.wait_for("as it was before")
            terminal.wait_for("you> ")
            terminal.write("second\n")
            terminal.wait_for("second answer")
            terminal.wait_for("you> ")
            terminal.write("\x04")
            assert terminal.exit_code() == 0, terminal.shown
    spoken = [message["content"] for message in fake.requests[1]["messages"]]
    assert spoken[-1] == "second"
    assert "first" not in spoken
    ended = [
        entry.record.body["reason"]
        for entry in read_events(tmp_path / "audit-log")
        if entry.record.kind is EventKind.TURN_ENDED
    ]
    assert ended == ["cancelled", "answered"]
    assert verify(tmp_path / "audit-log").ok
