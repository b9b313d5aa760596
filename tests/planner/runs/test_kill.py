"""Save, kill, resume: at every boundary between two writes, each effect happens exactly once."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentkit.audit import EventKind, read_events, verify
from agentkit.errors import StateError
from agentkit.planner import Approval, ApprovalRequest, RunStore, StateFile
from agentkit.planner.clock import system_clock
from tests.planner.world import PAYMENTS, RUN, Fate, Honest, Killed, World

if TYPE_CHECKING:
    from agentkit.tools import Tool, ToolCall

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


PAY_OLA: list[Any] = [[("pay", {"to": "ola", "amount": 5})], "Done."]
NOTE: list[Any] = [[("note", {"text": "noted"})], "Done."]


def killed_inside(world: World, monkeypatch: pytest.MonkeyPatch, *, after_effect: bool) -> None:
    """Run until the first effect of the plan, in which the process dies."""
    fate = Fate()

    def dying(tool: Tool) -> Tool:
        async def function(call: ToolCall) -> str:
            if after_effect:
                await tool.function(call)
            fate.dead = True
            raise Killed

        return replace(tool, function=function)

    tools = tuple(dying(tool) for tool in world.bank.tools())
    with monkeypatch.context() as patch:
        patch.setattr(world.bank, "tools", lambda: tools)
        assert killed(world, fate)


class Changes:
    """Answers a question about an interrupted call with the same arguments as a change."""

    async def decide(self, request: ApprovalRequest) -> Approval:
        changed = request.arguments if request.decision.rule == "interrupted" else None
        return Approval(approved=True, approver="kari", changed=changed)


def test_an_interrupted_call_is_not_made_anew_as_a_changed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, plan=PAY_OLA)
    killed_inside(world, monkeypatch, after_effect=True)
    result = world.attempt(Changes())
    assert world.bank.payments == [("ola", 5)]
    (told,) = [message for message in result.conversation if message.role == "tool"]
    assert "Unknown outcome, and not repeated" in str(told)
    assert "cannot be approved with changes" in str(told)
    records = [entry.record for entry in read_events(world.log)]
    outcomes = [record.body["status"] for record in records if record.kind is EventKind.OUTCOME]
    assert outcomes == ["unknown"]


@dataclass
class CancelledBeside(Fate):
    """Another process cancels the run at the boundary ``at``; this one lives on."""

    folder: Path = Path()

    def boundary(self) -> None:
        self.seen += 1
        if self.seen == self.at:
            state = StateFile.open(self.folder / "state")
            with state.transaction() as connection:
                RunStore(system_clock).cancel(connection, RUN, "cancelled")
            state.close()


def test_a_run_that_was_cancelled_beside_starts_no_call_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, plan=NOTE)
    killed_inside(world, monkeypatch, after_effect=False)
    with pytest.raises(StateError, match="cancelled by another process"):
        world.attempt(Honest(world.bank), CancelledBeside(5, folder=tmp_path))
    assert world.bank.notes == []
