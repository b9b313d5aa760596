"""``audit show LOG RUN CALL`` and ``policy explain RUN CALL`` over the log of a real turn."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import pytest

from agentkit.audit import AuditLog, erase, read_events
from agentkit.errors import AuditError
from agentkit.guards import Boundary, build_pipeline
from agentkit.model.protocol import FinishDelta, ToolCallDelta
from agentkit.model.scripted import ScriptedModel
from agentkit.planner import Approval, ApprovalRequest, Gate, Planner
from agentkit.spec import load_spec
from agentkit.startup import declared_tools, open_policies

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

SPEC = """\
version: 1
name: teller
model: {source: remote, url: "http://127.0.0.1:9/v1", id: m, base_model: Qwen/Qwen3-30B-A3B,
        access: self_hosted}
deployment:
  principal: {name: Example AS, kind: company, country: "NO", affiliates: [], staff_countries: []}
  distribution: internal
tools: {settle_bill: {function: settling_tools:settle_bill}}
policies:
  rules:
    - {id: large, ask: settle_bill, because: Large bills are looked at.,
       when: {arguments: {amount: {above: 100}}}}
audit: {path: log}
"""
TOOLS = '''\
from agentkit.tools import tool


@tool(effect="external")
def settle_bill(to: str, amount: int) -> str:
    """Settle a bill."""
    return f"settled {amount} \\x1b[2J"
'''


@dataclass
class Kari:
    async def decide(self, request: ApprovalRequest) -> Approval:
        return Approval(approved=True, approver="kari", comment="Known supplier.")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """An agent.yaml whose log holds one turn: a call that was asked, approved and run."""
    path = tmp_path / "agent.yaml"
    path.write_text(SPEC)
    (tmp_path / "settling_tools.py").write_text(TOOLS)
    loaded = load_spec(path)
    tools = declared_tools(loaded)
    guards = build_pipeline(dict.fromkeys(Boundary, ()), timeout_s=5)
    call = [ToolCallDelta("settle_bill", {"to": "Ola", "amount": 500}), FinishDelta("calls")]
    with AuditLog.open(tmp_path / "log") as log:
        gate = Gate(tools, {}, guards, guards, own_policies=open_policies(loaded, tools))
        model = ScriptedModel([call, "It is settled."])
        planner = Planner(model, tools, gate, guards, log, Kari())

        async def main() -> None:
            await planner.run((), "Settle Ola's bill of 500", run_id="run-7f3a", turn=1)

        anyio.run(main)
    return path


def test_a_chain_leads_from_the_message_to_the_answer(
    cli: Callable[..., Result], spec: Path
) -> None:
    shown = cli("audit", "show", spec, "run-7", "1.1.1")
    assert shown.exit_code == 0, shown.output
    stages = ("message", "model", "decision", "approval", "intent", "outcome", "result", "answer")
    places = [shown.stdout.index(f"\n  {stage:<10} ") for stage in stages]
    assert places == sorted(places)
    for said in (
        "Settle Ola's bill of 500",
        "by rule policy",
        "large",
        "Large bills are looked at.",
        "Known supplier.",
        "settled 500",
        "untrusted, from tool:settle_bill#1.1.1",
        "It is settled.",
        "to change",
        "leaf ",
    ):
        assert said in shown.stdout, said
    assert "\x1b" not in shown.stdout


def test_the_chain_as_json_holds_every_record_whole(cli: Callable[..., Result], spec: Path) -> None:
    found = json.loads(cli("audit", "show", spec, "run", "1.1.1", "--json").stdout)
    assert found["run_id"] == "run-7f3a"
    stages = [link["stage"] for link in found["chain"]]
    assert stages[0] == "message"
    assert stages[-2:] == ["answer", "end"]
    decision = next(link for link in found["chain"] if link["stage"] == "decision")
    assert decision["body"]["policies"] == ["large"]
    policies = open_policies(load_spec(spec), declared_tools(load_spec(spec)))
    assert policies is not None
    assert decision["body"]["policy_digest"] == policies.digest
    assert decision["sensitive"]["cure"] == "a person approves"


def test_a_decision_is_explained_with_the_policies_that_made_it(
    cli: Callable[..., Result], spec: Path
) -> None:
    shown = cli("policy", "explain", "run-7f3a", "1.1.1", "--log", spec).stdout
    for said in ("by rule policy", 'context.arguments["amount"] > 100', "to change", "trail"):
        assert said in shown, said
    found = json.loads(
        cli("policy", "explain", "run-7f3a", "1.1.1", "--log", spec, "--json").stdout
    )
    assert found["decision"]["outcome"] == "ask"
    assert '@id("large")' in found["cedar"]
    assert found["changed"] is False
    spec.write_text(SPEC.replace("above: 100", "above: 300"))
    changed = cli("policy", "explain", "run-7f3a", "1.1.1", "--log", spec).stdout
    assert "changed after this decision" in changed
    by_folder = cli("policy", "explain", "run-7f3a", "1.1.1", "--log", spec.parent / "log")
    assert by_folder.exit_code == 0
    assert "by rule policy" in by_folder.stdout


def test_what_was_erased_is_named_in_the_chain(cli: Callable[..., Result], spec: Path) -> None:
    folder = spec.parent / "log"
    index = next(
        entry.record.index
        for entry in read_events(folder)
        if entry.record.kind.value == "turn_started"
    )
    with AuditLog.open(folder) as log:
        erase(log, index=index, reason="request 17")
    shown = cli("audit", "show", spec, "run-7f3a", "1.1.1").stdout
    assert "text: erased" in shown
    assert "Settle Ola's" not in shown


@pytest.mark.parametrize(
    ("run", "call", "message"),
    [("x", "1.1.1", "no run begins with"), ("run", "9.9.9", "its calls are: 1.1.1")],
)
def test_what_is_not_there_is_said(
    cli: Callable[..., Result], spec: Path, run: str, call: str, message: str
) -> None:
    for command in (
        ["audit", "show", spec, run, call],
        ["policy", "explain", run, call, "--log", spec],
    ):
        result = cli(*command)
        assert result.exit_code == AuditError.exit_code, result.output
        assert message in result.stderr
