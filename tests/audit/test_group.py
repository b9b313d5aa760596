from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from agentkit.audit.group import GroupCommit
from agentkit.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Disk:
    """Doubles numbers, and holds up the first batch until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()

    def commit(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        assert self.go.wait(30)
        if 13 in items:
            raise AuditError("unlucky", cure="avoid thirteen")
        if 14 in items:
            raise KeyboardInterrupt
        return [item * 2 for item in items]


def crowd(group: GroupCommit[int, int], disk: Disk, numbers: Sequence[int]) -> dict[int, object]:
    """Submit the first number, and the others, in order, while it is being written."""
    outcomes: dict[int, object] = {}

    def submit(number: int) -> None:
        try:
            outcomes[number] = group.submit(number)
        except (AuditError, KeyboardInterrupt) as error:
            outcomes[number] = error

    threads = [threading.Thread(target=submit, args=(number,)) for number in numbers]
    for position, thread in enumerate(threads):
        thread.start()
        while len(disk.batches) < 1 or len(group._queue) < position:
            time.sleep(0.001)
    disk.go.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    return outcomes


def test_who_waits_shares_the_next_write_up_to_the_limit() -> None:
    disk = Disk()
    outcomes = crowd(GroupCommit(disk.commit, 4), disk, range(10))
    assert outcomes == {number: number * 2 for number in range(10)}
    assert disk.batches == [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9]]


def test_a_failed_write_fails_all_of_its_batch_and_no_other() -> None:
    disk = Disk()
    outcomes = crowd(GroupCommit(disk.commit, 3), disk, [0, 12, 13, 15, 16])
    assert (outcomes[0], outcomes[16]) == (0, 32)
    errors = [outcomes[number] for number in (12, 13, 15)]
    assert all(isinstance(error, AuditError) and error.cure for error in errors)
    assert len({id(error) for error in errors}) == 3


def test_an_interrupted_write_leaves_nobody_waiting() -> None:
    disk = Disk()
    outcomes = crowd(GroupCommit(disk.commit, 3), disk, [0, 12, 14, 15])
    kinds = sorted(type(outcomes[number]).__name__ for number in (12, 14, 15))
    assert kinds == ["AuditError", "AuditError", "KeyboardInterrupt"]


def test_nothing_is_written_while_somebody_is_alone() -> None:
    disk = Disk()
    disk.go.set()
    group = GroupCommit(disk.commit, 4)
    with group.exclusive():
        thread = threading.Thread(target=group.submit, args=(1,))
        thread.start()
        while not group._queue:
            time.sleep(0.001)
        assert disk.batches == []
    thread.join(30)
    assert disk.batches == [[1]]


def test_an_error_inside_lets_others_in_again() -> None:
    disk = Disk()
    disk.go.set()
    group = GroupCommit(disk.commit, 4)
    with pytest.raises(ValueError, match="inside"), group.exclusive():
        raise ValueError("inside")
    assert group.submit(2) == 4
