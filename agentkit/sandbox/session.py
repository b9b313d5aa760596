"""A session over one worker, whatever the worker is: the part that both tiers share.

What is covered: a run always ends in an ``Execution`` within its time plus ``OUTER_GRACE_S`` and
the time it takes to kill; a worker that had to be killed, died or broke the protocol is replaced
before the next run and the loss of state is said; a caller that is cancelled kills its run.
What is not covered: anything inside of the worker; that is for the tiers.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import anyio

from agentkit.errors import SandboxError
from agentkit.sandbox.aside import LARGE, aside
from agentkit.sandbox.egress import EgressDoor
from agentkit.sandbox.frames import FrameError
from agentkit.sandbox.hostcalls import CallDesk, CallRefused, CallUnanswered, serving
from agentkit.sandbox.imports import forbidden_import
from agentkit.sandbox.interface import Execution, ExitReason, Limits
from agentkit.sandbox.record import RunRecord, is_large
from agentkit.sandbox.request import CODE_BYTES, OUTER_GRACE_S, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from agentkit.sandbox.interface import (
        Egress,
        HostFunction,
        ImportAllowlist,
        OutputObserver,
        SandboxSession,
        Tier,
    )

__all__ = ["StartWorker", "Worker", "WorkerSession", "WorkerTier", "open_session"]

_RESET_TIMEOUT_S = 5.0


class Worker(Protocol):
    """A process or container that takes requests and answers in frames."""

    @property
    def ended(self) -> bool:
        """Whether it is known to be dead."""

    @property
    def sets_clock(self) -> bool:
        """Whether it can show a run another time than the host's."""

    async def send(self, message: dict[str, Any]) -> None:
        """Send a frame. Raises ``EOFError`` where nobody listens."""

    async def receive(self) -> dict[str, Any]:
        """Return the next frame. Raises ``EOFError`` or ``FrameError``."""

    def use_door(self, door: EgressDoor) -> None:
        """Let code out through ``door`` from now on; for workers that were started with egress."""

    async def kill(self) -> None:
        """End it and all it started, and wait until it is gone. Never raises for a dead one."""


StartWorker: TypeAlias = "Callable[[], Awaitable[Worker]]"
"""Starts one more worker of the same limits. Raises ``SandboxError``."""


class WorkerTier(Protocol):
    """What a tier gives: workers. Sessions, pools and checks are the same over all of them."""

    @property
    def tier(self) -> Tier:
        """Which wall this is."""

    def workers(
        self, limits: Limits, egress: Egress | None = None
    ) -> AbstractAsyncContextManager[StartWorker]:
        """Make ready what workers of these limits need; give the function that starts one."""


@asynccontextmanager
async def open_session(
    tier: WorkerTier,
    limits: Limits,
    *,
    fresh: bool,
    imports: ImportAllowlist | None,
    egress: Egress | None,
) -> AsyncIterator[SandboxSession]:
    """Open a session over a worker of its own; see ``Sandbox.session``."""
    async with tier.workers(limits, egress) as start:
        session = WorkerSession(start, limits, fresh=fresh, imports=imports, egress=egress)
        try:
            await session.open()
            yield session
        finally:
            with anyio.CancelScope(shield=True):
                await session.close()


class WorkerSession:
    """Implements ``SandboxSession`` over workers that ``start_worker`` makes.

    ``worker``: a clean one to begin with. ``runs`` and ``violated`` say what has happened so far.
    """

    def __init__(
        self,
        start_worker: StartWorker,
        limits: Limits,
        *,
        fresh: bool = False,
        imports: ImportAllowlist | None = None,
        egress: Egress | None = None,
        worker: Worker | None = None,
    ) -> None:
        self._start_worker = start_worker
        self._door = None if egress is None else EgressDoor(egress)
        self._limits = limits
        self._fresh = fresh
        self._imports = imports
        self._lock = anyio.Lock(fast_acquire=True)  # a run that need not wait goes on at once
        self._worker = worker
        self._used = False
        self._resetting = False
        self._closed = False
        self.runs = 0
        self.violated = False

    async def open(self) -> None:
        """Start the first worker, so that the first run is warm. Raises ``SandboxError``."""
        self._worker = await self._start_worker()

    async def run(
        self,
        code: str,
        *,
        files: Mapping[str, bytes] = MappingProxyType({}),
        timeout_s: float | None = None,
        output: OutputObserver | None = None,
        functions: Mapping[str, HostFunction] = MappingProxyType({}),
        seed: int | None = None,
        now: float | None = None,
    ) -> Execution:
        """Run ``code``; see ``SandboxSession.run``. Runs of one session wait for each other."""
        asked = request(
            code, self._limits, files=files, timeout_s=timeout_s, functions=functions,
            imports=self._imports, seed=seed, now=now,
        )  # fmt: skip
        record = RunRecord(self._limits, output)
        if len(code) > CODE_BYTES:
            text = f"the code has {len(code)} characters; at most {CODE_BYTES} are run"
            return record.stopped(ExitReason.ERROR, text, 0.0, state_lost=False)
        if self._imports is not None:
            large = len(code) > LARGE
            forbidden = await aside(large, forbidden_import, code, self._imports)
            if forbidden:
                return record.stopped(ExitReason.VIOLATION, forbidden, 0.0, state_lost=False)
        if id(self) in serving.get():
            raise SandboxError(
                "a host function cannot run code in the session that waits for it",
                cure="open another session for it",
            )
        async with self._lock:
            worker, state_lost = await self._living_worker()
            if self._door is not None:
                worker.use_door(self._door)
            if now is not None and not worker.sets_clock:
                raise SandboxError(
                    "this tier shows the host's clock", cure="leave now out, or use the wasm tier"
                )
            self._used = True
            self.runs += 1
            execution = await self._exchange(worker, asked, record, functions)
            self.violated |= execution.exit_reason is ExitReason.VIOLATION
            if self._fresh:
                await self._begin_reset()
                return replace(execution, state_lost=False)
        return replace(execution, state_lost=True) if state_lost else execution

    async def reset(self) -> None:
        """Go to a fresh interpreter; see ``SandboxSession.reset``."""
        async with self._lock:
            await self._begin_reset()
            await self._finish_reset()

    def taint(self) -> None:
        """Close the session's egress; see ``SandboxSession.taint``."""
        if self._door is not None:
            self._door.taint()

    async def close(self) -> None:
        """End the worker; a run that is going on ends as ``lost``."""
        self._closed = True
        await self._drop_worker()

    @property
    def busy(self) -> bool:
        """Whether a run is going on."""
        return self._lock.locked()

    def seal(self) -> None:
        """Refuse further runs."""
        self._closed = True

    async def detach(self) -> Worker | None:
        """Close the session and return its worker, reset; None where there is none to keep."""
        self.seal()
        async with self._lock:
            await self._begin_reset()
            await self._finish_reset()
            worker, self._worker = self._worker, None
        return worker

    async def _living_worker(self) -> tuple[Worker, bool]:
        """Return a worker, and whether a used one died while nobody looked."""
        if self._closed:
            raise SandboxError("the session is closed", cure="open a new session")
        await self._finish_reset()
        if self._worker is not None and not self._worker.ended:
            return self._worker, False
        died_idle = self._worker is not None and self._used
        await self._drop_worker()
        self._worker = await self._start_worker()
        return self._worker, died_idle

    async def _begin_reset(self) -> None:
        """Ask the worker to forget; it does so while nobody waits."""
        self._used = False
        if self._worker is None or self._resetting:
            return  # the next run starts a fresh one
        self._resetting = True
        try:
            await self._worker.send({"op": "reset"})
        except EOFError:
            await self._drop_worker()
        except BaseException:
            await self._drop_worker()
            raise

    async def _finish_reset(self) -> None:
        """Wait until the worker has forgotten; one that cannot is dropped."""
        if not self._resetting:
            return
        answered = False
        try:
            with anyio.move_on_after(_RESET_TIMEOUT_S):
                if self._worker is not None:
                    answered = (await self._worker.receive()).get("type") == "reset"
        except (EOFError, FrameError):
            answered = False
        finally:
            self._resetting = False
            if not answered:
                await self._drop_worker()

    async def _drop_worker(self) -> None:
        worker, self._worker = self._worker, None
        self._resetting = False
        if worker is not None:
            with anyio.CancelScope(shield=True):
                await worker.kill()

    async def _exchange(
        self,
        worker: Worker,
        asked: dict[str, Any],
        record: RunRecord,
        functions: Mapping[str, HostFunction],
    ) -> Execution:
        began = time.monotonic()
        finished: Execution | None = None
        stopped = (ExitReason.TIMEOUT, "the time was over; the worker was killed")
        timeout_s = float(asked["timeout_s"])
        desk = CallDesk(functions, self._limits, id(self), anyio.current_time() + timeout_s)
        try:
            with anyio.move_on_after(timeout_s + OUTER_GRACE_S):
                try:
                    await worker.send(asked)
                    while finished is None:
                        frame = await worker.receive()
                        if frame.get("type") == "output":
                            record.output(frame)
                        elif frame.get("type") == "call":
                            await worker.send(await desk.answer(frame))
                        else:
                            wall_s = time.monotonic() - began
                            finished = await aside(is_large(frame), record.finished, frame, wall_s)
                except EOFError:
                    stopped = (ExitReason.LOST, "the worker died")
                except FrameError as error:
                    stopped = (ExitReason.LOST, f"the worker's answer broke: {error}")
                except CallRefused as refused:
                    stopped = (ExitReason.VIOLATION, str(refused))
                except CallUnanswered as late:
                    stopped = (ExitReason.TIMEOUT, str(late))
        finally:
            # Also where the caller was cancelled: a run never outlives its caller.
            if finished is None:
                await self._drop_worker()
        return finished or record.stopped(*stopped, time.monotonic() - began)
