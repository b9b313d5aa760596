"""A run that waits for people: suspended in one process, decided in others, resumed in another."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agentkit.audit import EventKind, read_events, verify
from tests.cli.fake_openai import Reply, serve
from tests.cli.fresh import run_process, write_spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

PAYING = Reply(calls=(("pay", {"amount": 5, "note": "rent"}),))
WAITING = """\
tools: {{pay: {{function: my_tools:pay, {tool}}}}}
state: {{path: ./state}}
approvals:
  wait: suspend
  approvers:
    - {{key: {kari}, person: Kari Nordmann}}
    - {{key: {ola}, person: Ola Nordmann}}
"""
LEDGER = """

@tool(effect="external")
def pay(amount: int, note: str) -> str:
    \"\"\"Pay somebody.\"\"\"
    with open(__file__ + ".paid", "a") as file:
        file.write(f"{amount}\\n")
    return f"paid {amount}"
"""


class Office:
    """An agent in a folder, with the keys of two approvers."""

    def __init__(self, cli: Callable[..., Result], folder: Path, url: str, tool: str) -> None:
        self.cli = cli
        self.folder = folder
        keys = {name: self.key(name) for name in ("kari", "ola", "eve")}
        more = WAITING.format(tool=tool, kari=keys["kari"], ola=keys["ola"])
        self.spec = write_spec(folder, url, more)
        (folder / "my_tools.py").write_text("from agentkit.tools import tool\n" + LEDGER)

    def key(self, name: str) -> str:
        made = self.cli("approvals", "keygen", "--name", name, "--out", self.file(name), "--json")
        assert made.exit_code == 0, made.stderr
        return str(json.loads(made.stdout)["public"])

    def file(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def json(self, *arguments: object) -> Any:
        done = self.cli(*arguments, "--json")
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    def waiting(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.json("approvals", "list", self.spec)
        return found

    def decide(self, word: str, name: str, request: str, *more: str) -> Result:
        return self.cli("approvals", word, self.spec, request, "--key", self.file(name), *more)

    @property
    def paid(self) -> list[str]:
        path = self.folder / "my_tools.py.paid"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def office(cli: Callable[..., Result], tmp_path: Path) -> Callable[..., Office]:
    return lambda url, tool="approval: ask": Office(cli, tmp_path, url, tool)


def test_a_run_waits_is_approved_elsewhere_and_resumed_once(
    office: Callable[..., Office], cli: Callable[..., Result]
) -> None:
    with serve(PAYING, Reply("Done.")) as fake:
        it = office(fake.url)
        begun = run_process("run", it.spec, "Pay 5 for rent", "--json")
        assert begun.returncode == 11, begun.stderr
        error = json.loads(begun.stdout)["error"]
        assert error["reason"] == "suspended"
        (request,) = it.waiting()
        assert error["requests"] == [request["request"]]
        assert request["arguments"] == {"amount": 5, "note": "rent"}
        shown = cli("approvals", "show", it.spec, request["request"])
        assert '"amount": 5' in shown.stdout
        assert it.paid == []
        again = cli("runs", "resume", it.spec, error["run"])
        assert again.exit_code == 11
        forged = it.decide("approve", "eve", request["request"])
        assert forged.exit_code == 13
        assert "no trusted approver" in forged.stderr
        assert it.decide("approve", "kari", request["request"]).exit_code == 0
        twice = it.decide("approve", "ola", request["request"])
        assert twice.exit_code == 13
        resumed = run_process("runs", "resume", it.spec, error["run"])
        assert resumed.returncode == 0, resumed.stderr
        assert "Done." in resumed.stdout
        assert it.paid == ["5"]
        assert len(fake.requests) == 2
        # Resuming what was answered gives the same answer, and does nothing.
        assert "Done." in cli("runs", "resume", it.spec, error["run"]).stdout
        assert it.paid == ["5"]
        (used,) = it.json("approvals", "list", it.spec, "--all")
        assert (used["stands"], used["people"]) == ("used", ["kari"])
        assert "used" in cli("approvals", "list", it.spec, "--all").stdout
        assert "used by kari" in cli("approvals", "show", it.spec, request["request"]).stdout
    assert it.json("runs", "show", it.spec, error["run"])["turns"] == [
        {"turn": 1, "text": "Pay 5 for rent", "answer": "Done."}
    ]
    (approval,) = [
        entry.record.body
        for entry in read_events(it.folder / "audit-log")
        if entry.record.kind is EventKind.APPROVAL
    ]
    assert approval["approver"] == "kari"
    assert approval["signed"] == "by trusted keys"
    assert verify(it.folder / "audit-log").ok


def test_two_persons_must_approve_a_marked_tool(office: Callable[..., Office]) -> None:
    with serve(PAYING, Reply("Done.")) as fake:
        it = office(fake.url, "two_persons: true")
        assert it.cli("run", it.spec, "Pay 5").exit_code == 11
        (request,) = it.waiting()
        assert it.decide("approve", "kari", request["request"]).exit_code == 0
        assert it.cli("runs", "resume", it.spec, request["run"]).exit_code == 11
        same = it.decide("approve", "kari", request["request"])
        assert same.exit_code == 13
        assert "has decided" in same.stderr
        assert it.paid == []
        assert it.decide("approve", "ola", request["request"]).exit_code == 0
        assert it.cli("runs", "resume", it.spec, request["run"]).exit_code == 0
        assert it.paid == ["5"]


def test_a_no_is_told_to_the_model(office: Callable[..., Office]) -> None:
    with serve(PAYING, Reply("I did not.")) as fake:
        it = office(fake.url)
        assert it.cli("run", it.spec, "Pay 5").exit_code == 11
        (request,) = it.waiting()
        said = it.decide("deny", "ola", request["request"], "--comment", "not this month")
        assert said.exit_code == 0
        assert it.waiting() == []
        assert it.cli("runs", "resume", it.spec, request["run"]).exit_code == 0
        assert "not this month" in json.dumps(fake.requests[1]["messages"][-1])
    assert it.paid == []


def test_changes_pass_the_gate_again_and_never_skip_it(office: Callable[..., Office]) -> None:
    with serve(PAYING, Reply("Done.")) as fake:
        it = office(fake.url, "approval: ask, arguments: {properties: {amount: {maximum: 10}}}")
        assert it.cli("run", it.spec, "Pay 5").exit_code == 11
        (request,) = it.waiting()
        changed = ("--changes", json.dumps({"amount": 4, "note": "rent"}))
        assert it.decide("approve", "kari", request["request"], *changed).exit_code == 0
        # The operator wants every call approved, so the changed one is asked as well.
        assert it.cli("runs", "resume", it.spec, request["run"]).exit_code == 11
        (second,) = it.waiting()
        assert second["call"] == "1.1.1~1"
        assert second["arguments"] == {"amount": 4, "note": "rent"}
        too_much = ("--changes", json.dumps({"amount": 4000, "note": "rent"}))
        assert it.decide("approve", "ola", second["request"], *too_much).exit_code == 0
        assert it.cli("runs", "resume", it.spec, request["run"]).exit_code == 0
        assert "constraints" in json.dumps(fake.requests[1]["messages"])
    assert it.paid == []


def test_a_cancelled_run_voids_its_questions(office: Callable[..., Office]) -> None:
    with serve(PAYING, Reply("never")) as fake:
        it = office(fake.url)
        assert it.cli("run", it.spec, "Pay 5").exit_code == 11
        (request,) = it.waiting()
        assert it.cli("runs", "cancel", it.spec, request["run"][:8]).exit_code == 0
        assert it.waiting() == []
        assert it.decide("approve", "kari", request["request"]).exit_code == 13
        assert it.cli("runs", "resume", it.spec, request["run"]).exit_code == 12
        (run,) = it.json("runs", "list", it.spec)
        assert run["status"] == "cancelled"
    assert it.paid == []
    last = [*read_events(it.folder / "audit-log")]
    assert "run_cancelled" in [entry.record.body.get("reason") for entry in last]


def test_a_key_that_others_may_read_is_refused(office: Callable[..., Office]) -> None:
    it = office("http://127.0.0.1:9/v1")
    it.file("kari").chmod(0o644)
    refused = it.decide("approve", "kari", "none")
    assert refused.exit_code == 13
    assert "chmod 600" in refused.stderr
    assert it.cli("approvals", "keygen", "--name", "x", "--out", it.file("ola")).exit_code == 13


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("approve", "{spec}", "\udcff", "--key", "{key}"), "there is no request '\\udcff'"),
        (("keygen", "--name", "k\udcff"), "cannot be a key's name"),
        (
            ("approve", "{spec}", "x", "--key", "{key}", "--changes", "[" * 5000 + "]" * 5000),
            "nested too deeply",
        ),
    ],
)
def test_what_cannot_be_spelled_or_read_is_an_error_with_a_cure(
    arguments: tuple[str, ...], words: str, office: Callable[..., Office]
) -> None:
    with serve() as fake:
        made = office(fake.url)
    given = [one.format(spec=made.spec, key=made.file("kari")) for one in arguments]
    result = made.cli("approvals", *given)
    assert result.exit_code == 13, result.stderr
    assert words in result.stderr
    assert "cure:" in result.stderr
