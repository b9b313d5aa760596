"""A session over one worker, whatever the worker is: the part that both tiers share.

What is covered: a run always ends in an ``Execution`` within its time plus ``OUTER_GRACE_S`` and
the time it takes to kill; a worker that had to be killed, died or broke the protocol is replaced
before the next run and the loss of state is said; a caller that is cancelled kills its run.
What is not covered: anything inside of the worker; that is for the tiers.
"""

from __future__ import annotations

import time
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from agentkit.errors import SandboxError
from agentkit.sandbox.frames import FrameError
from agentkit.sandbox.interface import Execution, ExitReason, Limits
from agentkit.sandbox.record import CODE_BYTES, OUTER_GRACE_S, RunRecord, request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ["Worker", "WorkerSession"]

_RESET_TIMEOUT_S = 5.0


class Worker(Protocol):
    """A process or container that takes requests and answers in frames."""

    @property
    def ended(self) -> bool:
        """Whether it is known to be dead."""

    async def send(self, message: dict[str, Any]) -> None:
        """Send a frame. Raises ``EOFError`` where nobody listens."""

    async def receive(self) -> dict[str, Any]:
        """Return the next frame. Raises ``EOFError`` or ``FrameError``."""

    async def kill(self) -> None:
        """End it and all it started, and wait until it is gone. Never raises for a dead one."""


class WorkerSession:
    """Implements ``SandboxSession`` over workers that ``start_worker`` makes."""

    def __init__(self, start_worker: Callable[[], Awaitable[Worker]], limits: Limits) -> None:
        self._start_worker = start_worker
        self._limits = limits
        self._lock = anyio.Lock()
        self._worker: Worker | None = None
        self._used = False
        self._closed = False

    async def open(self) -> None:
        """Start the first worker, so that the first run is warm. Raises ``SandboxError``."""
        self._worker = await self._start_worker()

    async def run(
        self,
        code: str,
        *,
        files: Mapping[str, bytes] = MappingProxyType({}),
        timeout_s: float | None = None,
    ) -> Execution:
        """Run ``code``; see ``SandboxSession.run``. Runs of one session wait for each other."""
        asked = request(code, files, timeout_s, self._limits)
        record = RunRecord(self._limits)
        if len(code) > CODE_BYTES:
            return record.stopped(
                ExitReason.ERROR,
                f"the code has {len(code)} characters; at most {CODE_BYTES} are run",
                0.0,
                state_lost=False,
            )
        async with self._lock:
            worker, state_lost = await self._living_worker()
            self._used = True
            execution = await self._exchange(worker, asked, record)
        return replace(execution, state_lost=True) if state_lost else execution

    async def reset(self) -> None:
        """Go to a fresh interpreter; see ``SandboxSession.reset``."""
        async with self._lock:
            self._used = False
            worker = self._worker
            if worker is None:
                return  # the next run starts a fresh one
            answered = False
            try:
                with anyio.move_on_after(_RESET_TIMEOUT_S):
                    await worker.send({"op": "reset"})
                    answered = (await worker.receive()).get("type") == "reset"
            except (EOFError, FrameError):
                pass  # a worker that cannot forget is dropped below
            finally:
                if not answered:
                    await self._drop_worker()

    async def close(self) -> None:
        """End the worker; a run that is going on ends as ``lost``."""
        self._closed = True
        await self._drop_worker()

    async def _living_worker(self) -> tuple[Worker, bool]:
        """Return a worker, and whether a used one died while nobody looked."""
        if self._closed:
            raise SandboxError("the session is closed", cure="open a new session")
        if self._worker is not None and not self._worker.ended:
            return self._worker, False
        died_idle = self._worker is not None and self._used
        await self._drop_worker()
        self._worker = await self._start_worker()
        return self._worker, died_idle

    async def _drop_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            with anyio.CancelScope(shield=True):
                await worker.kill()

    async def _exchange(
        self, worker: Worker, asked: dict[str, Any], record: RunRecord
    ) -> Execution:
        began = time.monotonic()
        finished: Execution | None = None
        stopped = (ExitReason.TIMEOUT, "the time was over; the worker was killed")
        try:
            with anyio.move_on_after(float(asked["timeout_s"]) + OUTER_GRACE_S):
                try:
                    await worker.send(asked)
                    while finished is None:
                        frame = await worker.receive()
                        if frame.get("type") == "output":
                            record.output(frame)
                        else:
                            finished = record.finished(frame, time.monotonic() - began)
                except EOFError:
                    stopped = (ExitReason.LOST, "the worker died")
                except FrameError as error:
                    stopped = (ExitReason.LOST, f"the worker's answer broke: {error}")
        finally:
            # Also where the caller was cancelled: a run never outlives its caller.
            if finished is None:
                await self._drop_worker()
        return finished or record.stopped(*stopped, time.monotonic() - began)
