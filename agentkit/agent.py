"""``Agent``: the object people import. Open it on an ``agent.yaml``, and ask.

    async with Agent.open("agent.yaml") as agent:
        answer = await agent.run("What is 17 * 23?")

``open_blocking`` is the same for code without an event loop.
"""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from agentkit.messages import Message
from agentkit.planner import Gate, NobodyPresent, OutputChannel, Planner, ToolPolicy, TurnLimits
from agentkit.planner.events import ignore
from agentkit.planner.policy import Setting
from agentkit.progress import silent
from agentkit.spec import LoadedSpec, load_spec
from agentkit.startup import ignore_check, start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from agentkit.audit import AuditLog
    from agentkit.planner import Answer, Approver, Observer
    from agentkit.progress import Progress
    from agentkit.spec import AgentSpec
    from agentkit.startup import Rooms, StartupObserver, StartupReport

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
        self._turns = 0
        self._lock = anyio.Lock()
        self._conversation: tuple[Message, ...] = (
            (Message.system(spec.instructions),) if spec.instructions else ()
        )
        policies = {
            name: ToolPolicy(stated.approval, stated.arguments, stated.calls_per_minute)
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
            approver=approver,
            limits=TurnLimits(limits.steps, limits.tool_calls, limits.tokens, limits.wall_s),
            settings=spec.model.generation.settings,
            observe=observe,
            output=OutputChannel(spec.output.links, frozenset(spec.output.hosts)),
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        spec: str | Path | LoadedSpec,
        *,
        user: str = "user",
        approver: Approver | None = None,
        observe: Observer = ignore,
        observe_startup: StartupObserver = ignore_check,
        progress: Progress = silent,
    ) -> AsyncIterator[Agent]:
        """Check everything and open an agent; leaving the context closes all of it.

        ``user``: who speaks, by the name that policies and budgets know; it is the caller's word.
        ``approver`` answers questions; without one every question is answered no. ``observe`` and
        ``observe_startup`` are told what happens, ``progress`` of long steps. Raises ``SpecError``,
        ``StartupRefused``, ``ToolError`` or ``ModelError``.
        """
        loaded = spec if isinstance(spec, LoadedSpec) else load_spec(spec)
        run_id = uuid.uuid4().hex
        async with AsyncExitStack() as stack:
            rooms = await start(loaded, run_id, stack, progress=progress, observe=observe_startup)
            yield cls(
                loaded.spec,
                rooms,
                run_id,
                user=user,
                approver=approver or NobodyPresent(),
                observe=observe,
            )

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

        Raises ``TurnStopped``, ``ModelError``, ``SandboxError`` or ``AuditError``.
        """
        async with self._lock:
            self._turns += 1
            result = await self._planner.run(
                self._conversation, text, run_id=self._run_id, turn=self._turns
            )
            self._conversation = result.conversation
            return result.answer


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


@contextmanager
def open_blocking(
    spec: str | Path | LoadedSpec, *, approver: Approver | None = None
) -> Iterator[BlockingAgent]:
    """Open an agent as ``Agent.open`` does, on an event loop in a thread of its own."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Agent.open(spec, approver=approver)) as agent,
    ):
        yield BlockingAgent(agent, portal)
