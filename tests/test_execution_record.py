"""Each run of code leaves an ``execution`` record: how it ended and what it used, no content."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentkit.audit import EventKind, read_events, verify
from tests.cli.fake_openai import Reply, serve
from tests.cli.fresh import PYTHON, run_process, write_spec

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("code", "reason"),
    [("print(6 * 7)", "ok"), ("1 / 0", "error"), ("while True: pass", "timeout")],
)
def test_an_execution_stands_in_the_log(code: str, reason: str, tmp_path: Path) -> None:
    with serve(Reply(calls=(("python", {"code": code}),)), Reply("Done.")) as fake:
        spec = write_spec(tmp_path, fake.url, PYTHON + "sandbox: {tier: wasm, timeout_s: 1}\n")
        done = run_process("run", spec, "Calculate")
    assert done.returncode == 0, done.stderr
    log = tmp_path / "audit-log"
    assert verify(log).ok
    (entry,) = (e for e in read_events(log) if e.record.kind is EventKind.EXECUTION)
    body = entry.record.body
    assert entry.record.call_id == "1.1.1"
    assert body["tier"] == "wasm"
    assert body["exit_reason"] == reason
    assert body["wall_s"] > 0
    assert code not in str(body)
    shown = run_process("audit", "show", spec, "--call", "1.1.1")
    assert f"wasm: {reason}" in shown.stdout
