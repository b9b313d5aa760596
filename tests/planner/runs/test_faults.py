"""A fault in any part of the gate or the stores ends in deny: no effect, and the log says so."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import agentkit.planner.gate as gate_module
from agentkit.audit import AuditLog, read_events
from agentkit.errors import AuditError, StateError
from agentkit.guards import Boundary, GuardPipeline, Verdict, build_pipeline
from agentkit.planner import ApprovalDesk, Gate, Planner, StateFile, ToolPolicy
from agentkit.planner.approvals import ApprovalStore, Standing
from agentkit.planner.clock import Instant, system_clock
from agentkit.planner.policy import PolicySource, load_policies
from agentkit.planner.state import STATE_FILE
from tests.planner.world import RUN, TEXT, Follower, Honest, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agentkit.messages import JsonObject
    from agentkit.planner import Approver

CHECKS = sorted(name for name in vars(gate_module) if name.startswith("check_"))
PAY: list[Any] = [[("pay", {"to": "ola", "amount": 5})], "It was not paid."]


class House:
    """A world whose parts a test may break before its one run."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder, plan=PAY)
        self.log = AuditLog.open(folder / "audit")
        self.state = StateFile.open(folder / "state", busy_ms=50)
        self.guards = build_pipeline(dict.fromkeys(Boundary, ("secrets",)), timeout_s=30)
        self.clock: Callable[[], Instant] = system_clock
        self.approver: Approver = Honest(self.world.bank)

    def run(self, text: str = TEXT) -> None:
        tools = self.world.bank.tools()
        none = GuardPipeline(dict.fromkeys(Boundary, ()), timeout_s=30)
        planner = Planner(
            model=Follower(PAY),
            tools=tools,
            gate=Gate(
                tools,
                {"pay": ToolPolicy(approval="ask")},
                self.guards,
                none,
                own_policies=load_policies(PolicySource(), tools),
            ),
            guards=self.guards,
            log=self.log,
            state=self.state,
            desk=ApprovalDesk(self.state, approver=self.approver, clock=self.clock),
        )

        async def main() -> None:
            await planner.run((), text, run_id=RUN, turn=1)

        anyio.run(main)

    def said(self, kind: str) -> list[JsonObject]:
        entries = read_events(self.world.log)
        return [dict(entry.record.body) for entry in entries if entry.record.kind.value == kind]

    def close(self) -> None:
        self.log.close()
        self.state.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def broken(*_: object, **__: object) -> Any:
    raise RuntimeError("broken on purpose")


def test_without_a_fault_the_same_call_is_paid(house: House) -> None:
    house.run()
    assert house.world.bank.payments == [("ola", 5)]


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_that_raises_denies(
    house: House, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_module, name, broken)
    house.run()
    assert house.world.bank.payments == []
    assert ("deny", "gate") in [(one["outcome"], one["rule"]) for one in house.said("decision")]


class Slow:
    """A detector that does not come back in time, or raises."""

    name = "slow"

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    async def inspect(self, *_: object) -> Verdict:
        if self._error is not None:
            raise self._error
        await anyio.sleep(60)
        raise AssertionError

    def canary(self, *_: object) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize("error", [None, RuntimeError("broken on purpose")])
def test_a_guard_that_raises_or_hangs_denies(house: House, error: Exception | None) -> None:
    detectors: Any = dict.fromkeys(Boundary, ())
    detectors[Boundary.TOOL_ARGUMENTS] = (Slow(error),)
    house.guards = GuardPipeline(detectors, timeout_s=0.05)
    house.run()
    assert house.world.bank.payments == []
    assert ("deny", "guards") in [(one["outcome"], one["rule"]) for one in house.said("decision")]


@pytest.mark.parametrize("step", ["open", "stands", "take"])
@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("broken on purpose"),
        sqlite3.OperationalError("database is locked"),
        sqlite3.OperationalError("database or disk is full"),
        sqlite3.DatabaseError("malformed"),
    ],
)
def test_a_fault_of_the_approval_store_denies(
    house: House, step: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> Standing:
        raise error

    monkeypatch.setattr(ApprovalStore, step, fail)
    house.run()
    assert house.world.bank.payments == []
    assert [one["approved"] for one in house.said("approval")] == [False]


def test_a_fault_when_a_decision_is_redeemed_denies(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ApprovalStore, "redeem", broken)
    house.run()
    assert house.world.bank.payments == []
    assert house.said("intent") == []
    assert house.said("decision")[-1]["outcome"] == "deny"


@pytest.mark.parametrize("at", ["opened", "asked"])
def test_a_clock_that_jumps_back_denies(house: House, at: str) -> None:
    moments = iter(range(10**6))
    first = 1 if at == "opened" else 4

    def clock() -> Instant:
        now = system_clock()
        late = next(moments) >= first
        return Instant(now.wall_ms - (3_600_000 if late else 0), now.uptime_ms)

    house.clock = clock
    house.run()
    assert house.world.bank.payments == []
    (answer,) = house.said("approval")
    assert answer["approved"] is False


def test_a_store_that_another_process_locks_ends_the_turn_and_is_audited(
    house: House, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "state" / STATE_FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StateError, match="locked"):
        house.run()
    other.close()
    assert house.world.bank.payments == []
    assert [one["reason"] for one in house.said("turn_ended")] == ["StateError"]


def test_a_store_that_is_locked_while_a_person_decides_permits_nothing(
    house: House, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "state" / STATE_FILE, isolation_level=None)

    class Locking(Honest):
        async def decide(self, request: Any) -> Any:
            other.execute("BEGIN IMMEDIATE")
            return await super().decide(request)

    house.approver = Locking(house.world.bank)
    with pytest.raises(StateError, match="locked"):
        house.run()
    other.close()
    assert house.world.bank.payments == []
    assert [one["approved"] for one in house.said("approval")] == [False]


def test_a_full_disk_ends_the_turn(house: House) -> None:
    with house.state.transaction() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    house.state._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StateError, match="full"):
        house.run("Pay 5 to ola. " * 5000)
    assert house.world.bank.payments == []
    assert [one["reason"] for one in house.said("turn_ended")] == ["StateError"]


@pytest.mark.parametrize("key", ["input", "reply 1", "%/ruling/%", "%/started"])
def test_a_journal_that_cannot_be_written_stops_before_the_effect(house: House, key: str) -> None:
    with house.state.transaction() as connection:
        connection.execute(
            f"CREATE TRIGGER full BEFORE INSERT ON journal WHEN NEW.key LIKE '{key}'"
            " BEGIN SELECT RAISE(ABORT, 'no space'); END"
        )
    with pytest.raises(StateError, match="no space"):
        house.run()
    assert house.world.bank.payments == []
    assert house.said("intent") == []
    assert [one["reason"] for one in house.said("turn_ended")] == ["StateError"]


def test_an_audit_log_that_cannot_be_written_stops_the_tool(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agentkit.planner.record import Recorder  # noqa: PLC0415 - only here

    async def fail(*_: object, **__: object) -> None:
        raise AuditError("the disk is full")

    monkeypatch.setattr(Recorder, "intent", fail)
    with pytest.raises(AuditError):
        house.run()
    assert house.world.bank.payments == []


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / STATE_FILE).write_bytes(b"not a database at all, but long enough to look" * 40)
    (tmp_path / STATE_FILE).chmod(0o600)
    with pytest.raises(StateError, match="not a database"):
        StateFile.open(tmp_path)


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    StateFile.open(tmp_path).close()
    assert (tmp_path / STATE_FILE).stat().st_mode & 0o777 == 0o600
    (tmp_path / STATE_FILE).chmod(0o644)
    with pytest.raises(StateError, match="chmod 600"):
        StateFile.open(tmp_path)
