"""Save, kill, resume: at every boundary between two writes, each effect happens exactly once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agentkit.audit import verify
from tests.planner.world import PAYMENTS, Fate, Honest, Killed, World

if TYPE_CHECKING:
    from pathlib import Path

ALL = os.environ.get("AGENTKIT_TEST_ALL") == "1"
STRIDE = 1 if ALL else 7
SECOND_KILLS = [(first, second) for first in range(40, 100, 3) for second in range(2, 40, 5)]


def boundaries(folder: Path) -> int:
    """Count the boundaries of one run that nobody kills."""
    world, fate = World(folder), Fate()
    world.attempt(Honest(world.bank), fate)
    assert world.bank.payments == PAYMENTS
    return fate.seen


def killed(world: World, fate: Fate) -> bool:
    try:
        world.attempt(Honest(world.bank), fate)
    except BaseException as error:
        if not is_kill(error):
            raise
        return True
    return False


def is_kill(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(is_kill(one) for one in error.exceptions)
    return isinstance(error, Killed)


def check(world: World) -> None:
    assert world.bank.payments == PAYMENTS
    assert world.bank.notes == ["paid both"]
    assert len(set(world.bank.keys)) == 3
    assert world.is_done()
    assert verify(world.log).ok


def test_a_kill_at_any_boundary_and_a_resume_give_each_effect_once(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    total = boundaries(tmp_path / "whole")
    assert total > 100
    for at in range(0, total, STRIDE):
        folder = tmp_path / str(at)
        folder.mkdir()
        world = World(folder)
        assert killed(world, Fate(at)), at
        if not world.is_done():
            world.attempt(Honest(world.bank))
        check(world)


def test_a_second_kill_while_resuming_changes_nothing(tmp_path: Path) -> None:
    for first, second in ((58, 3), (62, 14), (66, 22)) if not ALL else SECOND_KILLS:
        folder = tmp_path / f"{first}-{second}"
        folder.mkdir()
        world = World(folder)
        assert killed(world, Fate(first))
        killed(world, Fate(second))
        if not world.is_done():
            world.attempt(Honest(world.bank))
        check(world)
