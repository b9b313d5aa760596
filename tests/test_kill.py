"""kill -9 in the middle of a tool call: the log tells of it, and work goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from agentkit.audit import EventKind, read_events, verify
from agentkit.errors import AuditError
from tests.cli.fake_openai import Reply, serve
from tests.cli.fresh import COMMAND, PYTHON, environment, run_process, write_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SLEEPING = Reply(
    calls=(("python", {"code": "print('begun')\nimport time\nwhile True:\n    time.sleep(0.1)\n"}),)
)


def test_kill_9_in_a_tool_call_leaves_a_verified_log_with_the_intent(tmp_path: Path) -> None:
    log = tmp_path / "audit-log"
    with serve(SLEEPING, Reply("I am back.")) as fake:
        more = PYTHON + "sandbox: {tier: wasm, timeout_s: 60}\n"
        spec = write_spec(tmp_path, fake.url, more)
        process = subprocess.Popen(
            [*COMMAND, "run", str(spec), "Sleep"],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            wait_until(lambda: has_kind(log, EventKind.INTENT), "the intent")
            workers = [*children(process.pid)]
            assert workers, "the sandbox runs in a process of its own"
            assert process.poll() is None
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait(10)
        wait_until(lambda: not any(is_alive(worker) for worker in workers), "the worker's end")

        report = verify(log)
        assert report.ok, report.problems
        (intent,) = report.unanswered_intents
        assert intent.body["tool"] == "python"
        kinds = [entry.record.kind for entry in read_events(log)]
        assert EventKind.OUTCOME not in kinds
        assert EventKind.TURN_ENDED not in kinds
        shown = run_process("audit", "verify", spec)
        assert shown.returncode == 0
        assert "result     whole, but not signed yet" in shown.stdout
        assert "call 1.1.1 of python may have run; no outcome" in shown.stdout

        again = run_process("run", spec, "Are you there?")
    assert again.returncode == 0, again.stderr
    assert "I am back." in again.stdout
    report = verify(log)
    assert report.ok, report.problems
    assert len(report.unanswered_intents) == 1
    entries = [*read_events(log)]
    assert [entry.record.kind for entry in entries[: len(kinds)]] == kinds
    assert entries[-1].record.kind is EventKind.TURN_ENDED


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 90) -> None:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
    pytest.fail(f"{what} did not come")


def has_kind(log: Path, kind: EventKind) -> bool:
    try:
        return any(entry.record.kind is kind for entry in read_events(log))
    except AuditError:  # the log is not there yet, or is being made just now
        return False


def children(parent: int) -> Iterator[int]:
    """Yield the processes that ``parent`` started and that still live."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True, timeout=20
    )
    for line in listed.stdout.splitlines():
        process, started_by = map(int, line.split())
        if started_by == parent:
            yield process


def is_alive(process: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    listed = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(process)],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    return bool(listed.stdout.strip()) and not listed.stdout.strip().startswith("Z")
