"""``agentkit evaluate tools`` over a server that speaks the real protocol."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agentkit.errors import AgentkitError, StartupRefused
from tests.cli.fake_openai import Reply, serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

SPEC = """
version: 1
name: measured
model: {{source: remote, url: "{url}", id: meta-llama/Llama-4-Scout-17B-16E-Instruct}}
deployment:
  principal: {{name: Fjordtall AS, kind: company, country: "US", affiliates: [],
    staff_countries: []}}
  role: deployer
  distribution: internal
  languages: [en]
  monthly_active_users: 100
"""


def test_a_model_that_only_talks_is_measured(cli: Callable[..., Result], tmp_path: Path) -> None:
    spec, output = tmp_path / "agent.yaml", tmp_path / "figures.json"
    with serve(Reply("I have no tool for that.")) as server:
        spec.write_text(SPEC.format(url=server.url))
        done = cli("evaluate", "tools", "--model", spec, "--cases", "20", "--output", output)
    assert done.exit_code == 0, done.output
    assert "left alone" in done.stdout
    figures = json.loads(output.read_text())
    assert figures["rates"]["left alone"]["share"] == 1
    assert figures["rates"]["exact call"] == {"right": 0, "of": 15, "share": 0}
    assert figures["bars"]["exact call"]["holds"] is False
    assert "valid call without grammar" not in figures["rates"]


def test_a_model_that_its_licence_forbids_is_not_measured(
    cli: Callable[..., Result], tmp_path: Path
) -> None:
    spec = tmp_path / "agent.yaml"
    with serve(Reply("I have no tool for that.")) as server:
        spec.write_text(SPEC.format(url=server.url).replace('"US"', "DE"))
        done = cli("evaluate", "tools", "--model", spec, "--cases", "3")
        assert done.exit_code == StartupRefused.exit_code, done.output
        assert "rule llama.eu_multimodal" in done.stderr
        assert server.requests == []


def test_a_place_for_the_figures_is_tried_before_the_first_case(
    cli: Callable[..., Result], tmp_path: Path
) -> None:
    spec = tmp_path / "agent.yaml"
    with serve(Reply("I have no tool for that.")) as server:
        spec.write_text(SPEC.format(url=server.url))
        for wrong in (spec / "figures.json", tmp_path):
            done = cli("evaluate", "tools", "--model", spec, "--cases", "3", "--output", wrong)
            assert done.exit_code == AgentkitError.exit_code
            assert "cure: name a f" in done.stderr
        assert server.requests == []
        made = tmp_path / "no" / "such" / "figures.json"
        done = cli("evaluate", "tools", "--model", spec, "--cases", "3", "--output", made)
    assert done.exit_code == 0, done.output
    assert json.loads(made.read_text())["rates"]


def test_a_folder_without_a_model_is_an_error_with_a_cure(
    cli: Callable[..., Result], tmp_path: Path
) -> None:
    done = cli("evaluate", "tools", "--model", tmp_path, "--cases", "3")
    assert done.exit_code != 0
    assert "Traceback" not in done.output
