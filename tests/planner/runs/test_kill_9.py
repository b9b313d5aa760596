"""kill -9 of a real process in the middle of an effect, and a resume in another."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from agentkit.audit import verify
from tests.cli.fake_openai import Reply, serve
from tests.cli.fresh import COMMAND, environment, run_process, write_spec

if TYPE_CHECKING:
    from pathlib import Path

TOOLS = """\
import sqlite3
import time
from pathlib import Path

from agentkit.tools import Effect, Tool

HERE = Path(__file__).parent
SCHEMA = {{"type": "object", "properties": {{"amount": {{"type": "integer"}}}}}}


async def book(call):
    with sqlite3.connect(HERE / "ledger.sqlite3", isolation_level=None) as ledger:
        ledger.execute("CREATE TABLE IF NOT EXISTS paid (key TEXT {unique}, amount INTEGER)")
        ledger.execute("INSERT OR IGNORE INTO paid VALUES (?, ?)",
                       (call.idempotency_key, call.arguments["amount"]))
    (HERE / "booked").touch()
    while (HERE / "slow").exists():
        time.sleep(0.02)
    return "paid"


pay = Tool("pay", "Pay.", SCHEMA, book, Effect.EXTERNAL, "trusted", idempotent={idempotent})
"""
PAYING = Reply(calls=(("pay", {"amount": 5}),))


@pytest.mark.parametrize("idempotent", [False, True])
def test_an_effect_that_was_killed_is_not_repeated_blindly(
    tmp_path: Path, idempotent: bool
) -> None:
    more = "tools: {pay: {function: my_tools:pay}}\nstate: {path: ./state}\n"
    with serve(PAYING, Reply("That is all.")) as fake:
        spec = write_spec(tmp_path, fake.url, more)
        source = TOOLS.format(idempotent=idempotent, unique="UNIQUE" if idempotent else "")
        (tmp_path / "my_tools.py").write_text(source)
        (tmp_path / "slow").touch()
        kill_when_booked(tmp_path, spec)
        (tmp_path / "slow").unlink()
        assert paid(tmp_path) == 1
        (run,) = json.loads(run_process("runs", "list", spec, "--json").stdout)
        assert (run["status"], run["turn"]) == ("running", 1)
        resumed = run_process("runs", "resume", spec, run["run"])
        assert resumed.returncode == 0, resumed.stderr
        assert "That is all." in resumed.stdout
        told = json.dumps(fake.requests[1]["messages"][-1])
    assert paid(tmp_path) == 1
    assert ("Unknown outcome, and not repeated" in told) is not idempotent
    # The model was asked once before the kill and once after: its first reply was replayed.
    assert len(fake.requests) == 2
    report = verify(tmp_path / "audit-log")
    assert report.ok, report.problems
    assert report.unanswered_intents == ()


def kill_when_booked(folder: Path, spec: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "run", str(spec), "Pay 5"],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + 120
        while not (folder / "booked").exists() and time.monotonic() < end:
            time.sleep(0.05)
        assert (folder / "booked").exists(), "the tool was not called"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(20)


def paid(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "ledger.sqlite3")) as ledger:
        (count,) = ledger.execute("SELECT COUNT(*) FROM paid").fetchone()
    return int(count)
