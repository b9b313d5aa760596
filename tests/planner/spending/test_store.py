"""The store of budgets: sums, windows, clocks, several takers at once, and its failures."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.planner.spending import Kind, Limit, Per, SpendingStore, StoreFailed
from agentkit.planner.spending.store import Grant, Refusal

MINUTE = Limit("m", Kind.CALLS, 5, 60.0)
FOREVER = Limit("f", Kind.TOKENS, 7, None, frozenset())
SMALL = Limit("t", Kind.TOKENS, 10, 60.0)
MONEY = Limit("p", Kind.MONEY, 10, None, currency="NOK")
NAMES = {Per.AGENT: "a"}
ROOT = Path(__file__).parents[3]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.floats(-100, 100), st.integers(0, 4)), max_size=40))
def test_no_window_holds_more_than_its_cap_however_the_clock_jumps(
    steps: list[tuple[float, int]],
) -> None:
    wall = 1_000_000.0
    store = SpendingStore(clock=lambda: wall)
    latest = 0.0
    admitted: list[tuple[float, int]] = []
    for pause, amount in steps:
        wall += pause
        latest = max(latest, wall)  # what went by for certain
        taken = store.take([MINUTE.charge(amount, NAMES), FOREVER.charge(1, NAMES)])
        if isinstance(taken, Grant):
            admitted.append((latest, amount))
        elif taken.charge.limit is MINUTE:
            assert taken.wait_s is None or 0 < taken.wait_s <= 60
        assert sum(one for at, one in admitted if latest - at < 60) <= MINUTE.cap
        assert len(admitted) <= FOREVER.cap


def test_a_refusal_by_one_limit_counts_under_none() -> None:
    store = SpendingStore(clock=lambda: 1.0)
    small = Limit("s", Kind.CALLS, 1)
    assert isinstance(store.take([small.charge(1, NAMES)]), Grant)
    refused = store.take([MINUTE.charge(5, NAMES), small.charge(1, NAMES)])
    assert isinstance(refused, Refusal)
    assert (refused.charge.limit, refused.spent) == (small, 1)
    assert isinstance(store.take([MINUTE.charge(5, NAMES)]), Grant)


def test_scopes_are_counted_apart_and_a_name_cannot_pass_for_two() -> None:
    limit = Limit("l", Kind.CALLS, 1, None, frozenset({Per.USER, Per.TOOL}))
    store = SpendingStore()
    for user, tool in (("a", "b"), ("a,b", ""), ("", "a,b"), ('a"]', "b")):
        names = {Per.USER: user, Per.TOOL: tool}
        assert isinstance(store.take([limit.charge(1, names)]), Grant)
        assert isinstance(store.take([limit.charge(1, names)]), Refusal)


def test_a_reservation_is_settled_to_what_was_used() -> None:
    store = SpendingStore()
    granted = store.take([FOREVER.charge(10, {}, minimum=2)])
    assert isinstance(granted, Grant)
    assert granted.amounts == (7,)
    assert isinstance(store.take([FOREVER.charge(1, {})]), Refusal)
    store.settle(granted, 3)
    assert isinstance(store.take([FOREVER.charge(4, {})]), Grant)
    refused = store.take([FOREVER.charge(1, {})])
    assert isinstance(refused, Refusal)
    assert refused.wait_s is None


@pytest.mark.parametrize("other", [SMALL, MONEY])
def test_a_late_settlement_leaves_every_other_charge_alone(other: Limit) -> None:
    now = [1000.0]
    store = SpendingStore(clock=lambda: now[0])
    late = store.take([SMALL.charge(10, NAMES)])
    assert isinstance(late, Grant)
    now[0] += 61
    assert isinstance(store.take([SMALL.charge(11, NAMES)]), Refusal)  # drops what is late
    assert isinstance(store.take([other.charge(other.cap, NAMES)]), Grant)
    store.settle(late, 1)
    assert isinstance(store.take([other.charge(1, NAMES)]), Refusal)


def test_limits_of_one_id_with_different_windows_are_counted_apart() -> None:
    now = [1000.0]
    store = SpendingStore(clock=lambda: now[0])
    day, minute = (Limit("payments", Kind.CALLS, 3, window) for window in (86_400.0, 60.0))
    assert isinstance(store.take([day.charge(3, NAMES)]), Grant)
    now[0] += 61
    assert isinstance(store.take([minute.charge(1, NAMES)]), Grant)
    assert isinstance(store.take([day.charge(1, NAMES)]), Refusal)


def test_a_store_whose_rows_could_be_mixed_up_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.sqlite"
    SpendingStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE spent")
        connection.execute("CREATE TABLE spent (id INTEGER PRIMARY KEY, key, scope, at_ms, amount)")
    connection.close()
    with pytest.raises(StoreFailed, match="earlier version") as refused:
        SpendingStore(path)
    assert "move the file away" in str(refused.value)


TAKER = """
import sys
from pathlib import Path
from agentkit.planner.spending import Kind, Limit, SpendingStore
from agentkit.planner.spending.store import Grant
limit = Limit("shared", Kind.CALLS, int(sys.argv[2]), 86400.0, frozenset())
store = SpendingStore(Path(sys.argv[1]), patience_s=60)
print("ready", flush=True)
sys.stdin.readline()
print(sum(isinstance(store.take([limit.charge(1, {})]), Grant) for _ in range(40)))
"""


def test_processes_that_take_at_once_never_pass_the_sum(tmp_path: Path) -> None:
    path, cap = tmp_path / "state" / "budgets.sqlite", 70
    takers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKER, str(path), str(cap)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(3)
    ]
    try:
        for taker in takers:
            assert taker.stdout is not None
            assert taker.stdout.readline() == "ready\n"
        for taker in takers:
            assert taker.stdin is not None
            taker.stdin.write("go\n")
            taker.stdin.flush()
        got = [int(taker.communicate(timeout=120)[0]) for taker in takers]
    finally:
        for taker in takers:
            taker.kill()
            taker.wait()
    assert sum(got) == cap
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT sum(amount) FROM spent").fetchone() == (cap,)


def test_a_locked_or_damaged_store_says_so_and_grants_nothing(tmp_path: Path) -> None:
    path = tmp_path / "b.sqlite"
    store = SpendingStore(path, patience_s=0.05)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreFailed, match="locked") as locked:
        store.take([MINUTE.charge(1, NAMES)])
    assert locked.value.cure
    holder.execute("ROLLBACK")
    assert isinstance(store.take([MINUTE.charge(1, NAMES)]), Grant)
    holder.execute("DROP TABLE spent")
    with pytest.raises(StoreFailed):
        store.take([MINUTE.charge(1, NAMES)])
    holder.close()
    store.close()
    broken = tmp_path / "broken.sqlite"
    broken.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreFailed):
        SpendingStore(broken)
