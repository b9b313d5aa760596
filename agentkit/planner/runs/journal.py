"""The journal of one turn: what happened is kept once, and given back when the turn runs again.

A turn that is resumed runs the same code from its beginning; whatever the journal holds is not done
again. So what a step does must be in its ``produce``, and its key must follow from the turn's
course alone (the step's number, the call's id).

What is covered: a value is given on only after it is on disk; a call's start, and the decision that
permits it, are one write; a process that lost the run to another can write no more.

What is not covered: what happened between the last write and a crash is done again; for effects
that is why ``started`` is written before them (see ``calls``).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

import anyio

from agentkit.planner.clock import system_clock
from agentkit.planner.runs.store import RunStore

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable, Sequence

    from agentkit.messages import Message
    from agentkit.planner.answer import Answer
    from agentkit.planner.approvals import Standing
    from agentkit.planner.runs.store import Claim
    from agentkit.planner.state import StateFile

__all__ = ["Journal"]

_Value = TypeVar("_Value")


class Journal:
    """One turn's journal. Made by ``Journal.open``."""

    def __init__(
        self, state: StateFile, runs: RunStore, claim: Claim, turn: int, kept: dict[str, Any]
    ) -> None:
        """Use ``Journal.open``."""
        self._state = state
        self._runs = runs
        self._claim = claim
        self._turn = turn
        self._kept = kept
        self.replayed = len(kept)

    @classmethod
    async def open(cls, state: StateFile, claim: Claim, turn: int, text: str) -> Self:
        """Begin a turn over ``text``, or open it again. Raises ``StateError``."""
        runs = RunStore(system_clock)
        kept = await state.write(partial(runs.begin_turn, claim=claim, turn=turn, text=text))
        return cls(state, runs, claim, turn, kept)

    def recall(self, key: str) -> Any | None:  # noqa: ANN401 - callers know what they kept
        """Return what was kept under ``key``, None where nothing was."""
        return self._kept.get(key)

    async def keep(
        self,
        key: str,
        value: object,
        *,
        redeem: Callable[[sqlite3.Connection], Standing] | None = None,
    ) -> None:
        """Keep ``value`` for good. ``redeem`` uses a decision up in the same transaction.

        Raises ``StateError``, and ``ApprovalError`` where the decision permits nothing (any more);
        then nothing was written.
        """

        def work(connection: sqlite3.Connection) -> None:
            if redeem is not None:
                redeem(connection)
            self._runs.keep(connection, self._claim, self._turn, key, value)

        await self._state.write(work)
        self._kept[key] = value

    async def once(self, key: str, produce: Callable[[], Awaitable[_Value]]) -> _Value:
        """Return what is kept under ``key``, else produce it, keep it and return it.

        ``produce`` must return one of the values that ``wire`` knows, and never None.
        """
        if key in self._kept:
            return cast("_Value", self._kept[key])
        value = await produce()
        await self.keep(key, value)
        return value

    async def ended(
        self, reason: str, messages: Sequence[Message] = (), answer: Answer | None = None
    ) -> None:
        """Close the turn: it cannot be resumed. Also done while it is being cancelled.

        A state in memory keeps no messages: nobody will resume from it.
        """
        messages = messages if self._state.is_durable else ()
        with anyio.CancelScope(shield=True):
            await self._state.write(
                partial(
                    self._runs.end_turn,
                    claim=self._claim,
                    turn=self._turn,
                    reason=reason,
                    messages=messages,
                    answer=answer,
                )
            )

    async def suspended(self, reason: str) -> None:
        """Put the turn aside until people have decided."""
        await self._state.write(
            partial(self._runs.suspend, claim=self._claim, turn=self._turn, reason=reason)
        )
