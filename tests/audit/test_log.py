from __future__ import annotations

import itertools
import json
import os
import stat
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentkit.audit import AuditEvent, AuditLog, EventKind, read_events, show, tail, verify
from agentkit.errors import AuditDamaged, AuditError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BODIES = st.dictionaries(
    st.text(st.characters(codec=None), max_size=5),
    st.integers() | st.text(st.characters(codec=None), max_size=10) | st.booleans() | st.none(),
    max_size=3,
)
NAMES = st.text(st.characters(codec=None), max_size=6)
EVENTS = st.builds(
    AuditEvent,
    kind=st.sampled_from(EventKind).filter(lambda kind: kind is not EventKind.ERASURE),
    run_id=NAMES,
    turn=st.integers(0, 2**53 - 1),
    call_id=NAMES,
    body=BODIES,
    sensitive=BODIES,
)


def event(number: int = 0, kind: EventKind = EventKind.GUARD) -> AuditEvent:
    return AuditEvent(kind, "run", 1, f"call-{number}", {"number": number})


def test_what_was_appended_is_read(directory: Path) -> None:
    with AuditLog.open(directory) as log:
        first = log.append(AuditEvent(EventKind.STARTUP, "r1", body={"ready": True}))
        second = log.append(
            AuditEvent(EventKind.INTENT, "r1", 1, "c1", {"tool": "pay"}, {"iban": "DE02"})
        )
        assert (first.index, second.index, log.size) == (0, 1, 2)
    startup, intent = read_events(directory)
    assert startup.record.body == {"ready": True}
    assert intent.record.leaf_hash == second.leaf_hash
    assert intent.record.prev_hash == first.leaf_hash
    assert (intent.record.run_id, intent.record.turn, intent.record.call_id) == ("r1", 1, "c1")
    assert intent.sensitive == {"iban": "DE02"}
    assert json.loads(json.dumps(intent.as_dict()))["sensitive"] == {"iban": "DE02"}
    assert tail(directory, 1) == [intent]
    assert tail(directory, 9) == [startup, intent]
    assert show(directory, index=0) == [startup]
    assert show(directory, call_id="c1", run_id="r1") == [intent]
    assert show(directory, run_id="r2") == []
    with pytest.raises(ValueError, match="index"):
        show(directory)


@given(st.lists(EVENTS, max_size=8), st.integers(1, 3), st.integers(1, 2000))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_events_come_back_over_any_rotation_and_reopening(
    tmp_path_factory: pytest.TempPathFactory, events: list[AuditEvent], pieces: int, size: int
) -> None:
    directory = tmp_path_factory.mktemp("property") / "log"
    step = max(1, len(events) // pieces)
    for begin in range(0, len(events), step):
        with AuditLog.open(directory, segment_bytes=size) as log:
            for appended in events[begin : begin + step]:
                log.append(appended)
    if not events:
        AuditLog.open(directory).close()
    entries = list(read_events(directory))
    assert [
        AuditEvent(
            found.record.kind,
            found.record.run_id,
            found.record.turn,
            found.record.call_id,
            found.record.body,
            found.sensitive,
        )
        for found in entries
    ] == events
    report = verify(directory)
    assert report.ok, report.problems
    assert report.events == len(events)
    assert report.commitments.opened == sum(len(appended.sensitive) for appended in events)


def test_rotation_keeps_one_chain(directory: Path) -> None:
    with AuditLog.open(directory, segment_bytes=600) as log:
        for number in range(20):
            log.append(event(number))
    report = verify(directory)
    assert report.ok, report.problems
    assert report.segments >= 5
    assert report.signed_events == report.events == 20
    with AuditLog.open(directory, segment_bytes=600) as log:
        assert log.append(event()).index == 20


def test_many_threads_share_one_dense_chain(directory: Path) -> None:
    receipts = []

    def work(name: int) -> None:
        for number in range(50):
            receipts.append(log.append(AuditEvent(EventKind.GUARD, f"t{name}", number)))  # noqa: PERF401  # one by one is the test

    with AuditLog.open(directory, segment_bytes=20_000, checkpoint_events=64) as log:
        threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(receipt.index for receipt in receipts) == list(range(400))
    found = {entry.record.index: entry.record for entry in read_events(directory)}
    assert {receipt.index: receipt.leaf_hash for receipt in receipts} == {
        index: record.leaf_hash for index, record in found.items()
    }
    for name in range(8):
        turns = [record.turn for record in found.values() if record.run_id == f"t{name}"]
        assert turns == list(range(50))
    report = verify(directory)
    assert report.ok, report.problems
    assert report.checkpoints > 2


def test_tasks_record_concurrently_and_again_in_another_loop(directory: Path) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(log.record, event(number))

    with AuditLog.open(directory) as log:
        anyio.run(main)
        anyio.run(main)
        assert log.size == 200
        anyio.run(log.aclose)
    assert verify(directory).ok


def test_a_cancelled_task_leaves_a_durable_record(directory: Path) -> None:
    async def main() -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(log.record, event())
                await anyio.lowlevel.checkpoint()
                scope.cancel()

    with AuditLog.open(directory) as log:
        anyio.run(main)
    report = verify(directory)
    assert report.ok
    assert report.events in (0, 1)


def test_intents_without_outcome(directory: Path) -> None:
    log = AuditLog.open(directory)
    for number in range(3):
        log.append(event(number, EventKind.INTENT))
    log.append(event(1, EventKind.OUTCOME))
    log.append(AuditEvent(EventKind.OUTCOME, "another run", 1, "call-0"))
    expected = ["call-0", "call-2"]
    assert [found.call_id for found in log.intents_without_outcome()] == expected
    log.close()
    report = verify(directory)
    assert [found.call_id for found in report.unanswered_intents] == expected
    with AuditLog.open(directory) as log:
        assert [found.call_id for found in log.intents_without_outcome()] == expected
        assert log.intents_without_outcome()[0].body == {"number": 0}
        log.append(event(0, EventKind.OUTCOME))
        log.append(event(2, EventKind.OUTCOME))
        assert log.intents_without_outcome() == ()


def test_the_callers_later_changes_do_not_reach_the_log(directory: Path) -> None:
    body: dict[str, object] = {"tool": "pay"}
    with AuditLog.open(directory) as log:
        log.append(AuditEvent(EventKind.INTENT, "r", 1, "c", body))  # type: ignore[arg-type]
        body["tool"] = "other"
        assert log.intents_without_outcome()[0].body == {"tool": "pay"}


def test_a_clock_that_steps_back_breaks_nothing(directory: Path) -> None:
    steps = itertools.cycle([0, 10, -3600, 86400 * 400, -86400 * 4000])
    start = datetime(2026, 3, 1, 12, tzinfo=UTC)
    with AuditLog.open(directory, clock=lambda: start + timedelta(seconds=next(steps))) as log:
        for number in range(10):
            log.append(event(number))
    report = verify(directory)
    assert report.ok, report.problems
    assert report.clock_steps_back == 4
    assert report.first_time == "2026-03-01T12:00:00.000000Z"
    assert [entry.record.index for entry in read_events(directory)] == list(range(10))


def test_a_clock_in_the_first_millennium_writes_what_can_be_read(directory: Path) -> None:
    with AuditLog.open(directory, clock=lambda: datetime(999, 1, 1, tzinfo=UTC)) as log:
        log.append(event())
    assert tail(directory, 1)[0].record.time == "0999-01-01T00:00:00.000000Z"
    assert verify(directory).ok


def test_other_clocks_are_written_as_utc(directory: Path) -> None:
    from datetime import timezone  # noqa: PLC0415  # used here only

    east = datetime(2026, 1, 1, 1, 2, 3, 4, timezone(timedelta(hours=9)))
    with AuditLog.open(directory, clock=lambda: east) as log:
        log.append(event())
    assert tail(directory, 1)[0].record.time == "2025-12-31T16:02:03.000004Z"


@pytest.mark.parametrize(
    "change",
    [
        lambda: {"body": {"data": b"bytes"}},
        lambda: {"body": {"deep": json.loads("[" * 70 + "]" * 70)}},
        lambda: {"body": {"long": "x" * (17 * 1024 * 1024)}},
        lambda: {"sensitive": {"data": {1, 2}}},
        lambda: {"turn": -1},
        lambda: {"turn": 2**53},
        lambda: {"kind": "no such kind"},
        lambda: {"turn": True},
        lambda: {"run_id": 5},
        lambda: {"call_id": None},
        lambda: {"body": ["a list"]},
        lambda: {"sensitive": None},
        lambda: {"sensitive": {5: "x"}},
    ],
)
def test_what_cannot_be_recorded_is_refused_before_it_is_written(
    directory: Path, change: Callable[[], dict[str, object]]
) -> None:
    fields: dict[str, object] = {"kind": EventKind.INTENT, "run_id": "r", **change()}
    with AuditLog.open(directory) as log:
        with pytest.raises(AuditError) as caught:
            log.append(AuditEvent(**fields))  # type: ignore[arg-type]
        assert caught.value.cure
        assert log.append(event()).index == 0
    assert verify(directory).ok


@pytest.mark.parametrize("leaf", ["x", "é", 0.5, "$"])
@pytest.mark.parametrize("name", ["a", "$"])
def test_the_deepest_body_that_is_recorded_is_read(directory: Path, name: str, leaf: str) -> None:
    """A body stands one level down in its record, which has 64 levels in all."""
    body: dict[str, object] = {name: leaf}
    for _ in range(62):
        body = {name: body}
    with AuditLog.open(directory) as log:
        log.append(AuditEvent(EventKind.INTENT, "r", body=body))  # type: ignore[arg-type]
        with pytest.raises(AuditError, match="deeper"):
            log.append(AuditEvent(EventKind.INTENT, "r", body={name: body}))  # type: ignore[dict-item]
    assert verify(directory).ok
    assert next(read_events(directory)).record.body == body


def test_numbers_and_text_beyond_json_are_recorded_without_loss(directory: Path) -> None:
    body = {"account": 10**30, "odd": "\ud800", "big": 1e300, "$int": [float("inf"), -(2**60)]}
    with AuditLog.open(directory) as log:
        log.append(AuditEvent(EventKind.INTENT, "r\udfff", body=body))  # type: ignore[arg-type]
    [entry] = read_events(directory)
    assert entry.record.body == body
    assert entry.record.run_id == "r\udfff"
    assert verify(directory).ok


def test_one_writer(directory: Path) -> None:
    with AuditLog.open(directory) as log:
        log.append(event())
        with pytest.raises(AuditError, match="another process") as caught:
            AuditLog.open(directory)
        assert caught.value.cure
        reader = AuditLog.open(directory, read_only=True)
        assert reader.size == 1
        with pytest.raises(AuditError, match="read-only"):
            reader.append(event())
        reader.close()
        log.append(event())
    AuditLog.open(directory).close()


def test_reading_alone_makes_nothing(directory: Path) -> None:
    with pytest.raises(AuditError):
        AuditLog.open(directory, read_only=True)
    with pytest.raises(AuditError):
        list(read_events(directory))
    assert not verify(directory).ok
    directory.mkdir()
    with pytest.raises(AuditError, match="no audit log"):
        AuditLog.open(directory, read_only=True)
    assert not verify(directory).ok
    assert list(directory.iterdir()) == []


def test_a_closed_log_refuses(directory: Path) -> None:
    log = AuditLog.open(directory)
    log.close()
    log.close()
    for attempt in (lambda: log.append(event()), log.checkpoint):
        with pytest.raises(AuditError, match="closed"):
            attempt()


def test_a_forked_child_cannot_write(directory: Path) -> None:
    with AuditLog.open(directory) as log:
        log.append(event())
        child = os.fork()
        if child == 0:
            try:
                log.append(event())
            except AuditError:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        log.append(event())
    assert verify(directory).events == 2


def test_everything_is_for_its_owner_only(directory: Path) -> None:
    with AuditLog.open(directory, segment_bytes=1) as log:
        log.append(AuditEvent(EventKind.GUARD, "r", sensitive={"a": 1}))
        log.append(event())
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        files = [*directory.iterdir(), directory.with_name("log.key")]
        assert len(files) >= 6
        for file in files:
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


@pytest.mark.parametrize("where", ["file/log", "file"])
def test_a_place_that_cannot_hold_a_log_is_named(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(AuditError) as caught:
        AuditLog.open(tmp_path / where)
    assert caught.value.cure
    assert not verify(tmp_path / where).ok


@pytest.mark.parametrize("where", [".", "/", "..", ""])
def test_a_directory_without_a_name_is_no_place_for_a_key_beside_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    directory.mkdir()
    monkeypatch.chdir(directory)
    with pytest.raises(AuditError, match="no name") as caught:
        AuditLog.open(where)
    assert "key=" in caught.value.cure
    assert list(directory.iterdir()) == []
    AuditLog.open(".", key="../other.key").close()
    AuditLog.open(".", read_only=True).close()


def test_a_log_needs_the_key_that_it_began_with(directory: Path, tmp_path: Path) -> None:
    key = tmp_path / "elsewhere" / "audit.key"
    with AuditLog.open(directory, key=key) as log:
        log.append(event())
    assert not directory.with_name("log.key").exists()
    with pytest.raises(AuditError, match="key"):
        AuditLog.open(directory)
    other = tmp_path / "other.key"
    AuditLog.open(tmp_path / "other", key=other).close()
    with pytest.raises(AuditError, match="began with"):
        AuditLog.open(directory, key=other)
    with AuditLog.open(directory, key=key) as log:
        assert log.size == 1
    with AuditLog.open(tmp_path / "third", key=key) as log:
        log.append(event())


def test_a_log_that_lost_all_records_is_not_begun_anew(directory: Path) -> None:
    with AuditLog.open(directory) as log:
        log.append(event())
    (directory / "segment-00000000.log").unlink()
    with pytest.raises(AuditDamaged, match="gone"):
        AuditLog.open(directory)
