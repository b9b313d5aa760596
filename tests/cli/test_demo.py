"""The demo, with the real embedded model and the real sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentkit.audit import verify
from tests.cli.fresh import run_process

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.weights
def test_the_demo_shows_one_audited_turn(tmp_path: Path) -> None:
    done = run_process("demo", cwd=tmp_path, timeout_s=900)
    assert done.returncode == 0, done.stderr
    shown = done.stdout
    order = ["Startup", "licence    allow", "model      ok", "Question", "Step 1"]
    order += ["call       1.1.1 python", "gate       allow", "sandbox    ok       wasm tier"]
    order += ["391", "Answer", "Audit log", "result     verified"]
    place = 0
    for text in order:
        place = shown.find(text, place)
        assert place >= 0, f"{text} is not shown in its place:\n{shown}"
    assert verify(tmp_path / ".demo" / "audit-log").ok


def test_an_agent_that_is_there_already_is_kept(tmp_path: Path) -> None:
    (tmp_path / ".demo").mkdir()
    mine = tmp_path / ".demo" / "agent.yaml"
    mine.write_text("version: 2\n")
    done = run_process("demo", cwd=tmp_path)
    assert done.returncode == 3
    assert "error: .demo/agent.yaml:1:" in done.stderr
    assert mine.read_text() == "version: 2\n"
