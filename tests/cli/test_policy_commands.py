from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentkit.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

SPEC = """\
version: 1
name: teller
model: {source: remote, url: "http://127.0.0.1:9/v1", id: m, base_model: Qwen/Qwen3-30B-A3B,
        access: self_hosted}
deployment:
  principal: {name: Example AS, kind: company, country: "NO", affiliates: [], staff_countries: []}
  distribution: internal
tools:
  pay_bill: {function: bank_tools:pay_bill}
policies:
  timezone: Europe/Oslo
  cedar: own.cedar
  rules:
    - id: large
      ask: pay_bill
      because: Large payments are looked at.
      when: {arguments: {amount: {above: 100}}}
    - id: night
      deny: all
      when: {hours: "22:00-06:00", users_except: chief}
"""
TOOLS = '''\
from agentkit.tools import tool


@tool(effect="external")
def pay_bill(to: str, amount: int) -> str:
    """Pay a bill."""
    return "paid"
'''
CEDAR = """\
@id("not-mallory")
forbid (principal, action == Action::"pay_bill", resource)
when { context.arguments.to like "*mallory*" };
"""
CASES = """\
cases:
  - {name: small, tool: pay_bill, arguments: {to: ola, amount: 5}, expect: allow}
  - {name: large, tool: pay_bill, arguments: {to: ola, amount: 500}, expect: ask, policies: [large]}
  - name: mallory
    tool: pay_bill
    arguments: {to: mallory, amount: 5}
    untrusted: to
    sources: {to: tool:fetch}
    expect: deny
  - name: night
    tool: pay_bill
    arguments: {to: ola, amount: 5}
    at: 2026-01-07T23:30
    expect: deny
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "agent.yaml").write_text(SPEC)
    (tmp_path / "bank_tools.py").write_text(TOOLS)
    (tmp_path / "own.cedar").write_text(CEDAR)
    (tmp_path / "cases.yaml").write_text(CASES)
    return tmp_path


def test_the_policies_are_shown_as_the_cedar_that_rules(
    cli: Callable[..., Result], folder: Path
) -> None:
    shown = cli("policy", "show", folder / "agent.yaml")
    assert shown.exit_code == 0
    for policy in ("large", "night", "not-mallory", "agentkit.base"):
        assert f'@id("{policy}")' in shown.stdout
    assert "Large payments are looked at." in shown.stdout
    assert 'action "pay_bill"' in cli("policy", "show", folder / "agent.yaml", "--schema").stdout
    found = json.loads(cli("policy", "show", folder / "agent.yaml", "--json").stdout)
    assert found["policies"] == ["large", "night", "not-mallory", "agentkit.base"]
    assert len(found["policy_digest"]) == 64
    assert "policies   large, night" in cli("validate", folder / "agent.yaml").stdout


def test_cases_pass_as_a_table_and_as_json(cli: Callable[..., Result], folder: Path) -> None:
    shown = cli("policy", "test", folder / "cases.yaml")
    assert shown.exit_code == 0, shown.output
    assert "4 tried, 0 came out otherwise" in shown.stdout
    found = json.loads(cli("policy", "test", folder / "cases.yaml", "--json").stdout)
    assert found["ok"] is True
    assert [case["policies"] for case in found["cases"]] == [
        ["agentkit.base"],
        ["large"],
        ["not-mallory"],
        ["night"],
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [("amount: 500}, expect: ask", "amount: 50}, expect: ask"), ("[large]", "[night]")],
)
def test_a_case_that_comes_out_otherwise_fails_the_command(
    cli: Callable[..., Result], folder: Path, old: str, new: str
) -> None:
    (folder / "cases.yaml").write_text(CASES.replace(old, new))
    shown = cli("policy", "test", folder / "cases.yaml")
    assert shown.exit_code == 1
    assert "FAILED" in shown.stdout
    as_json = cli("policy", "test", folder / "cases.yaml", "--json")
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout)["ok"] is False


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("tool: pay_bill, arguments: {to: ola, amount: 5}", "tool: pay", "2:19", "is not an allow"),
        ("amount: 5}", 'amount: "5"}', "2:35", "takes no such arguments"),
        ("expect: allow", "expects: allow", "2:5", "did you mean"),
        ("tool:fetch", "web:fetch", "8:15", "is no source"),
        ("2026-01-07T23:30", "tonight", "13:9", "is no local time"),
    ],
)
def test_a_wrong_case_is_told_with_its_place(
    cli: Callable[..., Result], folder: Path, *, old: str, new: str, place: str, message: str
) -> None:
    (folder / "cases.yaml").write_text(CASES.replace(old, new, 1))
    result = cli("policy", "test", folder / "cases.yaml")
    assert result.exit_code == SpecError.exit_code, result.output
    assert f"cases.yaml:{place}" in result.stderr
    assert message in result.stderr


@pytest.mark.parametrize(
    ("file", "old", "new", "place", "message"),
    [
        ("agent.yaml", "amount: {above", "sum: {above", "agent.yaml:17:26", "no parameter 'sum'"),
        ("agent.yaml", "ask: pay_bill", "ask: pay_bil", "agent.yaml:15:7", "not an allowed tool"),
        ("agent.yaml", "above: 100", "like: a", "agent.yaml:17:26", "like compares text"),
        ("own.cedar", "arguments.to", "arguments.two", "own.cedar:1", "two"),
        ("own.cedar", "};", "}", "own.cedar:1", "no Cedar policy"),
        ("own.cedar", "not-mallory", "large", "own.cedar:1", "used twice"),
    ],
)
def test_policies_that_do_not_fit_the_tools_are_refused_before_anything_starts(
    cli: Callable[..., Result],
    folder: Path,
    *,
    file: str,
    old: str,
    new: str,
    place: str,
    message: str,
) -> None:
    path = folder / file
    path.write_text(path.read_text().replace(old, new, 1))
    result = cli("validate", folder / "agent.yaml")
    assert result.exit_code == SpecError.exit_code, result.output
    assert place in result.stderr
    assert message in result.stderr


def test_an_agent_without_policies_has_none_to_show(
    cli: Callable[..., Result], folder: Path
) -> None:
    (folder / "agent.yaml").write_text(SPEC[: SPEC.index("policies:")])
    for command in (["show", folder / "agent.yaml"], ["test", folder / "cases.yaml"]):
        result = cli("policy", *command)
        assert result.exit_code == SpecError.exit_code
        assert "no policies" in result.stderr


def test_the_files_on_the_page_work_as_it_says(cli: Callable[..., Result], tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "policies.md").read_text(encoding="utf-8")
    spec, cases = re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (own,) = re.findall(r"^```cedar\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "agent.yaml").write_text(spec)
    (tmp_path / "own.cedar").write_text(own)
    (tmp_path / "cases.yaml").write_text(cases)
    (tmp_path / "bank_tools.py").write_text(
        "from agentkit.tools import tool\n\n\n"
        "@tool(effect='external')\n"
        "def pay_bill(iban: str, amount: float, currency: str) -> str:\n"
        '    """Pay a bill."""\n'
        "    return 'paid'\n"
    )
    result = cli("policy", "test", tmp_path / "cases.yaml")
    assert result.exit_code == 0, result.output
    assert "4 tried, 0 came out otherwise" in result.stdout
    assert cli("validate", tmp_path / "agent.yaml").exit_code == 0
