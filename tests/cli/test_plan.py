"""``agentkit model plan``: tables and JSON for programs, exit codes, and no download."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from agentkit.model.plan import Machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

SCOUT = "meta-llama/Llama-4-Scout-17B-16E-Instruct"


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 96 GiB that reads 50 GB/s: the test's machine must not decide."""
    machine = Machine(96 << 30, 50e9)
    monkeypatch.setattr("agentkit.cli.plan.look_at_machine", lambda: machine)


def test_scout_and_maverick_by_default(cli: Callable[..., Result]) -> None:
    done = cli("model", "plan")
    assert done.exit_code == 0, done.stderr
    for word in ("Scout", "Maverick", "bf16", "int8", "int4", "llama4", "50 GB/s"):
        assert word in done.stdout
    assert done.stdout.count("fits with weights: int4") == 1
    assert "does not fit: int4 needs" in done.stdout


def test_json_for_programs(cli: Callable[..., Result]) -> None:
    done = cli("model", "plan", SCOUT, "--context", "131072", "--users", "2", "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 0
    assert found["fits"] is True
    assert [one["weights"] for one in found["formats"]] == ["bf16", "int8", "int4"]
    assert found["formats"][0]["kv_bytes"] == 2 * 4096 * (12 * 131_072 + 36 * 8192)
    assert found["licence"].startswith("llama4")


def test_exit_codes(cli: Callable[..., Result]) -> None:
    assert cli("model", "plan", SCOUT.replace("Scout-17B-16E", "Maverick-17B-128E")).exit_code == 1
    assert cli("model", "plan", "no-such/model").exit_code == 5
    done = cli("model", "plan", SCOUT, "--context", "20000000")
    assert done.exit_code == 5
    assert "--context 10485760" in done.stderr
    assert cli("model", "plan", SCOUT, "--context", "0").exit_code == 2
