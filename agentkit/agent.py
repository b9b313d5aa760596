"""``Agent``: the object people import. Open it on an ``agent.yaml``, and ask.

    async with Agent.open("agent.yaml") as agent:
        answer = await agent.run("What is 17 * 23?")

``open_blocking`` is the same for code without an event loop.
"""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from agentkit.errors import AuditError, RunSuspended, StateError
from agentkit.messages import Message
from agentkit.planner import (
    ApprovalDesk,
    Gate,
    LeaveForLater,
    NobodyPresent,
    OutputChannel,
    Planner,
    RunStore,
    ToolPolicy,
    TurnLimits,
)
from agentkit.planner.clock import system_clock
from agentkit.planner.events import ignore
from agentkit.planner.policy import Setting
from agentkit.progress import silent
from agentkit.spec import LoadedSpec, load_spec
from agentkit.startup import ignore_check, start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from agentkit.audit import AuditLog
    from agentkit.planner import Answer, Approver, Claim, Observer, StateFile
    from agentkit.progress import Progress
    from agentkit.spec import AgentSpec
    from agentkit.startup import ModelPool, Rooms, StartupObserver, StartupReport

__all__ = ["Agent", "BlockingAgent", "open_blocking"]


class Agent:
    """An assistant that passed the startup gate, with one conversation.

    Made by ``Agent.open``. Turns run one at a time; a turn that was stopped leaves the
    conversation as it was.
    """

    def __init__(
        self,
        spec: AgentSpec,
        rooms: Rooms,
        run_id: str,
        *,
        user: str,
        approver: Approver,
        observe: Observer,
    ) -> None:
        self._rooms = rooms
        self._run_id = run_id
        self._spec_name = spec.name
        self._claim: Claim | None = None
        self._turns = 0
        self._open_turn: str | None = None
        self._lock = anyio.Lock()
        self._conversation: tuple[Message, ...] = (
            (Message.system(spec.instructions),) if spec.instructions else ()
        )
        policies = {
            name: ToolPolicy(
                stated.approval, stated.arguments, stated.calls_per_minute, stated.two_persons
            )
            for name, stated in spec.tools.items()
        }
        limits = spec.limits
        self._planner = Planner(
            model=rooms.model,
            tools=rooms.tools,
            gate=Gate(
                rooms.tools,
                policies,
                rooms.guards,
                rooms.code_guards,
                own_policies=rooms.policies,
                spending=replace(rooms.spending, user=user),
                setting=Setting(spec.name, user, spec.sandbox.tier.value),
            ),
            guards=rooms.guards,
            log=rooms.log,
            limits=TurnLimits(limits.steps, limits.tool_calls, limits.tokens, limits.wall_s),
            settings=spec.model.generation.settings,
            observe=observe,
            state=rooms.state,
            desk=ApprovalDesk(
                rooms.state,
                approvers=[stated.trusted for stated in spec.approvals.approvers],
                approver=approver,
                lifetime_s=spec.approvals.expires_after_s,
            ),
            output=OutputChannel(spec.output.links, frozenset(spec.output.hosts)),
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        spec: str | Path | LoadedSpec,
        *,
        run_id: str | None = None,
        user: str = "user",
        approver: Approver | None = None,
        observe: Observer = ignore,
        observe_startup: StartupObserver = ignore_check,
        progress: Progress = silent,
        models: ModelPool | None = None,
    ) -> AsyncIterator[Agent]:
        """Check everything and open an agent; leaving the context closes all of it.

        ``run_id`` continues a run that the state keeps; left out, a new one begins. ``user``: who
        speaks, by the name that policies and budgets know; it is the caller's word. ``approver``
        answers questions; without one every question is answered no, or waits in the store where
        the specification says ``approvals: {wait: suspend}``. ``observe`` and ``observe_startup``
        are told what happens, ``progress`` of long steps. ``models`` holds models that agents of
        this process share; left out, the agent loads one for itself. Raises ``SpecError``,
        ``StartupRefused``, ``ToolError``, ``ModelError`` or ``StateError``.
        """
        loaded = spec if isinstance(spec, LoadedSpec) else load_spec(spec)
        continued = run_id is not None
        run_id = run_id or uuid.uuid4().hex
        absent = LeaveForLater() if loaded.spec.approvals.wait == "suspend" else NobodyPresent()
        async with AsyncExitStack() as stack:
            rooms = await start(
                loaded, run_id, stack, progress=progress, observe=observe_startup, models=models
            )
            agent = cls(
                loaded.spec,
                rooms,
                run_id,
                user=user,
                approver=approver or absent,
                observe=observe,
            )
            if continued:
                await agent._continue()
            yield agent

    @property
    def report(self) -> StartupReport:
        """What startup found."""
        return self._rooms.report

    @property
    def run_id(self) -> str:
        """The id under which the audit log keeps this conversation."""
        return self._run_id

    @property
    def log(self) -> AuditLog:
        """The audit log that this agent writes."""
        return self._rooms.log

    @property
    def conversation(self) -> tuple[Message, ...]:
        """The conversation so far, with the operator's instructions first."""
        return self._conversation

    async def run(self, text: str) -> Answer:
        """Answer one message of the user.

        Raises ``TurnStopped``, ``RunSuspended`` (people have to decide; see ``resume``),
        ``ModelError``, ``SandboxError``, ``StateError`` or ``AuditError``.
        """
        async with self._lock:
            if self._open_turn is not None:
                raise StateError(
                    f"run {self._run_id} has a turn that is not finished",
                    cure="resume it, or cancel the run and begin another",
                )
            self._turns += 1
            return await self._turn(text)

    async def resume(self) -> Answer:
        """Go on with the turn that was suspended or interrupted; nothing is done twice.

        Where the last turn was answered already, its answer is returned. Raises as ``run`` does.
        """
        async with self._lock:
            if self._open_turn is not None:
                return await self._turn(self._open_turn)
            turns = await self._state.write(partial(self._runs.turns, run_id=self._run_id))
            if not turns or turns[-1].answer is None:
                raise StateError(
                    f"run {self._run_id} has nothing to resume", cure="ask it something"
                )
            return turns[-1].answer

    async def _turn(self, text: str) -> Answer:
        if self._claim is None:
            await self._take()
        self._open_turn = text
        try:
            result = await self._planner.run(
                self._conversation,
                text,
                run_id=self._run_id,
                turn=self._turns,
                claim=self._claim,
            )
        except (RunSuspended, StateError, AuditError):
            raise  # the turn can be resumed
        except BaseException:
            self._open_turn = None
            raise
        self._open_turn = None
        self._conversation = result.conversation
        return result.answer

    async def _continue(self) -> None:
        """Take over a run that the state keeps, with its conversation and its open turn."""
        row = await self._state.write(partial(self._runs.get, run_id=self._run_id))
        await self._take()
        messages = await self._state.write(partial(self._runs.messages, run_id=self._run_id))
        self._conversation = (*self._conversation, *messages)
        self._turns = row.turn
        if row.status in {"running", "suspended"}:
            turns = await self._state.write(partial(self._runs.turns, run_id=self._run_id))
            self._open_turn = turns[-1].text

    async def _take(self) -> None:
        self._claim = await self._state.write(
            partial(
                self._runs.claim,
                run_id=self._run_id,
                agent=self._spec_name,
                spec_sha256=self._rooms.report.spec_sha256,
            )
        )

    @property
    def _state(self) -> StateFile:
        return self._rooms.state

    @property
    def _runs(self) -> RunStore:
        return RunStore(system_clock)


class BlockingAgent:
    """An ``Agent`` for code without an event loop. Made by ``open_blocking``."""

    def __init__(self, agent: Agent, portal: BlockingPortal) -> None:
        self._agent = agent
        self._portal = portal

    @property
    def report(self) -> StartupReport:
        """What startup found."""
        return self._agent.report

    def run(self, text: str) -> Answer:
        """Answer one message of the user; see ``Agent.run``."""
        return self._portal.call(self._agent.run, text)

    def resume(self) -> Answer:
        """Go on with an unfinished turn; see ``Agent.resume``."""
        return self._portal.call(self._agent.resume)


@contextmanager
def open_blocking(
    spec: str | Path | LoadedSpec,
    *,
    run_id: str | None = None,
    approver: Approver | None = None,
) -> Iterator[BlockingAgent]:
    """Open an agent as ``Agent.open`` does, on an event loop in a thread of its own."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            Agent.open(spec, run_id=run_id, approver=approver)
        ) as agent,
    ):
        yield BlockingAgent(agent, portal)
