"""Warm interpreters of one tier, leased to many agents: bounded, fair, and never passed on dirty.

    async with SandboxPool(open_sandbox("wasm"), size=4) as pool, pool.lease() as session:
        await session.run("1 + 1")

What is covered: at most ``size`` workers exist; leases are given in the order they were asked for;
who cannot be served is refused with ``SandboxBusy``, by a full queue at once or after ``wait_s``. A
worker goes back only after it has forgotten everything; it is replaced after ``uses`` runs, after
any violation and where it does not answer. Leaving the pool ends all of them.
What is not covered: tenants who must not share a worker process even one after the other. Give
each a pool, or ``uses=1``.
"""

from __future__ import annotations

from collections import deque
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import anyio
import structlog

from agentkit.errors import SandboxBusy, SandboxError
from agentkit.sandbox.interface import Limits
from agentkit.sandbox.session import WorkerSession

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from anyio.abc import TaskGroup

    from agentkit.sandbox.interface import Egress, ImportAllowlist, SandboxSession
    from agentkit.sandbox.session import StartWorker, Worker, WorkerTier

__all__ = ["PoolState", "SandboxPool"]

_RETRY_S = 1.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PoolState:
    """A look at a pool. ``recycled``: workers that were not kept, since it was opened."""

    idle: int
    out: int
    waiting: int
    recycled: int


@dataclass(slots=True)
class _Kept:
    """A clean worker, and how many runs it has served."""

    worker: Worker
    runs: int = 0
    since: float = field(default_factory=anyio.current_time)


@dataclass(slots=True, eq=False)
class _Ticket:
    """One caller who waits."""

    ready: anyio.Event = field(default_factory=anyio.Event)
    kept: _Kept | None = None
    error: SandboxError | None = None


class SandboxPool:
    """Leases warm sessions of ``tier``.

    ``size``: workers at most, and leases at once. ``limits``, ``egress``: of every lease.
    ``queue``: callers that may wait; ``wait_s``: how long each may. ``uses``: runs after which a
    worker is replaced. ``check_s``: an idle worker is made to answer after this many seconds.
    """

    def __init__(
        self,
        tier: WorkerTier,
        size: int,
        *,
        limits: Limits = Limits(),
        egress: Egress | None = None,
        queue: int = 64,
        wait_s: float = 30.0,
        uses: int = 1000,
        check_s: float = 30.0,
    ) -> None:
        if size < 1 or queue < 0 or uses < 1:
            raise SandboxError(
                f"a pool of {size} workers, {uses} uses and a queue of {queue} serves nobody",
                cure="give size and uses of at least 1, and a queue of 0 or more",
            )
        self._tier = tier
        self._size = size
        self._limits = limits
        self._egress = egress
        self._queue = queue
        self._wait_s = wait_s
        self._uses = uses
        self._check_s = check_s
        self._idle: deque[_Kept] = deque()
        self._waiting: deque[_Ticket] = deque()
        self._sessions: set[WorkerSession] = set()
        self._out = 0
        self._recycled = 0
        self._short = anyio.Event()
        self._closed = True
        self._stack = AsyncExitStack()
        self._group: TaskGroup
        self._start: StartWorker

    @property
    def state(self) -> PoolState:
        """How many workers are where, now."""
        return PoolState(len(self._idle), self._out, len(self._waiting), self._recycled)

    async def __aenter__(self) -> Self:
        """Start the first worker, and the others in the background. Raises ``SandboxError``."""
        async with AsyncExitStack() as stack:
            self._start = await stack.enter_async_context(
                self._tier.workers(self._limits, self._egress)
            )
            stack.push_async_callback(self._end_all)
            self._give(_Kept(await self._start()))
            self._group = await stack.enter_async_context(anyio.create_task_group())
            self._group.start_soon(self._refill)
            self._group.start_soon(self._look_after)
            self._stack = stack.pop_all()
        self._closed = False
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End every worker, leased ones too."""
        self._closed = True
        for ticket in self._waiting:
            ticket.error = SandboxError("the pool was closed", cure="open another pool")
            ticket.ready.set()
        self._group.cancel_scope.cancel()
        await self._stack.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def lease(
        self, *, fresh: bool = False, imports: ImportAllowlist | None = None
    ) -> AsyncIterator[SandboxSession]:
        """Lease a warm session; options as those of ``Sandbox.session``.

        Raises ``SandboxBusy`` where the queue is full or the wait too long, and ``SandboxError``.
        """
        kept = await self._take()
        session = WorkerSession(
            self._replacement, self._limits, fresh=fresh, imports=imports, worker=kept.worker,
            egress=self._egress,
        )  # fmt: skip
        self._sessions.add(session)
        try:
            yield session
        finally:
            session.seal()
            if self._closed:
                with anyio.CancelScope(shield=True):
                    await session.close()
            else:
                self._group.start_soon(self._take_back, session, kept.runs)

    async def _take(self) -> _Kept:
        if self._closed:
            raise SandboxError("the pool is closed", cure="use it inside of 'async with'")
        while self._idle and not self._waiting:
            kept = self._idle.popleft()
            if not kept.worker.ended:
                self._out += 1
                return kept
            self._replaced()
        if len(self._waiting) >= self._queue:
            raise SandboxBusy(
                f"{self._out} of {self._size} workers are leased and {len(self._waiting)} callers "
                "wait already",
                reason="queue",
                cure="try again later, or make the pool or its queue larger",
            )
        return await self._wait()

    async def _wait(self) -> _Kept:
        ticket = _Ticket()
        self._waiting.append(ticket)
        try:
            with anyio.move_on_after(self._wait_s):
                await ticket.ready.wait()
        except BaseException:
            if ticket.kept is not None:  # handed over in the moment of the cancellation
                self._out -= 1
                self._give(ticket.kept)
            raise
        finally:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
        if ticket.error is not None:
            raise ticket.error
        if ticket.kept is None:
            raise SandboxBusy(
                f"no worker came free within {self._wait_s} s",
                reason="wait",
                cure="try again later, make the pool larger or wait_s longer",
            )
        return ticket.kept

    def _give(self, kept: _Kept) -> None:
        """Hand a clean worker to the first who waits, else keep it."""
        kept.since = anyio.current_time()
        if self._waiting:
            ticket = self._waiting.popleft()
            self._out += 1
            ticket.kept = kept
            ticket.ready.set()
        else:
            self._idle.append(kept)

    def _replaced(self) -> None:
        self._recycled += 1
        self._short.set()

    async def _replacement(self) -> Worker:
        """Return a worker for a lease that lost its own: an idle one, where there is one."""
        while self._idle and not self._waiting:
            kept = self._idle.popleft()
            self._replaced()
            if not kept.worker.ended:
                return kept.worker
        return await self._start()

    async def _take_back(self, session: WorkerSession, runs: int) -> None:
        """Clean a worker after its lease, and give it to the next; or end it."""
        runs += session.runs
        worker: Worker | None = None
        try:
            if not (session.busy or session.violated or runs >= self._uses):
                worker = await session.detach()
        finally:
            await session.close()  # also where the pool is closed in the middle of this
            self._sessions.discard(session)
            self._out -= 1
            if worker is None:
                self._replaced()
            else:
                self._give(_Kept(worker, runs))

    async def _refill(self) -> None:
        """Keep as many workers as the pool may have."""
        while True:
            if len(self._idle) + self._out >= self._size:
                self._short = anyio.Event()
                await self._short.wait()
                continue
            try:
                worker = await self._start()
            except (SandboxError, OSError) as error:
                _log.warning("sandbox_pool_start_failed", error=str(error))
                self._refuse(error)
                await anyio.sleep(_RETRY_S)
            else:
                self._give(_Kept(worker))

    def _refuse(self, error: SandboxError | OSError) -> None:
        """Tell all who wait that no worker starts, unless a leased one may come back to them."""
        if self._out:
            return
        for ticket in self._waiting:
            ticket.error = SandboxError(
                f"no worker starts: {error}", cure="see whether the tier's check() passes"
            )
            ticket.ready.set()
        self._waiting.clear()

    async def _look_after(self) -> None:
        """Make idle workers answer from time to time; replace those that do not."""
        while True:
            await anyio.sleep(self._check_s)
            for kept in list(self._idle):
                old = anyio.current_time() - kept.since >= self._check_s
                if not old or kept not in self._idle:
                    continue
                self._idle.remove(kept)
                self._out += 1
                session = WorkerSession(self._start, self._limits, worker=kept.worker)
                self._sessions.add(session)
                await self._take_back(session, kept.runs)

    async def _end_all(self) -> None:
        with anyio.CancelScope(shield=True):
            while self._idle:
                await self._idle.popleft().worker.kill()
            for session in list(self._sessions):
                await session.close()
            self._sessions.clear()
