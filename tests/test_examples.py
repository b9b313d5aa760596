"""The examples, run as their READMEs say, with the embedded model where they name it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from agentkit.agent import Agent
from agentkit.audit import EventKind, read_events, verify
from agentkit.errors import StartupRefused
from agentkit.spec import load_spec
from tests.cli.fresh import ROOT, environment, run_process

EXAMPLES = ROOT / "examples"


@pytest.fixture
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of an example, so that its audit log is written elsewhere."""
    return Path(shutil.copytree(EXAMPLES / request.param, tmp_path / request.param))


def test_every_example_is_run_here_and_says_what_it_is() -> None:
    folders = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
    assert folders == ["analyst", "eu_refusal", "figures", "text_utility"]
    for folder in folders:
        readme = (EXAMPLES / folder / "README.md").read_text(encoding="utf-8")
        assert "SmolLM2-135M" in readme or folder == "figures"  # tests/sandbox runs that one
        for link in re.findall(r"\]\(([^)#:]+)\)", readme):
            assert (EXAMPLES / folder / link).exists(), link


@pytest.mark.parametrize(
    "spec", sorted(EXAMPLES.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_every_specification_is_valid(spec: Path) -> None:
    assert load_spec(spec).spec.name


@pytest.mark.weights
@pytest.mark.parametrize("example", ["analyst"], indirect=True)
def test_the_analyst_calculates_in_the_sandbox(example: Path) -> None:
    done = run_process("run", example / "agent.yaml", "What is 17 * 23?", "--json", timeout_s=900)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    decisions = [event for event in result["events"] if event["event"] == "decision"]
    assert decisions[0]["tool"] == "python"
    assert decisions[0]["outcome"] == "allow"
    results = [event for event in result["events"] if event["event"] == "result"]
    assert results[0]["tier"] == "wasm"
    assert "391" in results[0]["text"]
    assert "391" in result["answer"]["text"]
    assert verify(example / "audit-log").ok


@pytest.mark.weights
@pytest.mark.parametrize("example", ["text_utility"], indirect=True)
def test_the_text_utility_uses_its_own_tool(example: Path) -> None:
    done = subprocess.run(
        [sys.executable, "main.py"],
        cwd=example,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    assert "grilled-fish-with-lemon" in done.stdout
    assert "tool:slugify#" in done.stdout
    assert verify(example / "audit-log").ok


@pytest.mark.parametrize("example", ["eu_refusal"], indirect=True)
def test_the_eu_company_is_refused_with_clause_and_alternatives(example: Path) -> None:
    done = run_process("run", example / "agent.yaml", "Hello")
    assert done.returncode == StartupRefused.exit_code
    assert "rule llama.eu_multimodal" in done.stderr
    assert "Acceptable Use Policy" in done.stderr
    assert "permitted here: " in done.stderr
    assert "apache-2.0" in done.stderr
    records = [entry.record for entry in read_events(example / "audit-log")]
    assert records[0].kind is EventKind.STARTUP
    assert records[0].body["decisions"][0]["outcome"] == "deny"
    assert records[1].kind is EventKind.REFUSAL
    assert verify(example / "audit-log").ok


@pytest.mark.weights
@pytest.mark.parametrize("example", ["eu_refusal"], indirect=True)
def test_the_eu_company_starts_with_a_permitted_model(example: Path) -> None:
    async def start() -> list[str]:
        async with Agent.open(example / "permitted.yaml") as agent:
            return [check.name for check in agent.report.checks]

    assert anyio.run(start) == ["licence", "audit", "tools", "sandbox", "guards", "model"]
