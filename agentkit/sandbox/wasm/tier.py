"""The wasm tier: one worker process per session, replaced whenever it had to be killed.

What is covered: code runs as WebAssembly without files, sockets or processes, in a worker process
with an empty environment, in a session of its own and under resource limits; its time ends inside
(epoch) and outside (SIGKILL of the worker's group); a caller that is cancelled kills its run.
What is not covered: side channels of shared hardware; a flaw of wasmtime lets code into the worker
process, which runs as this user; use the docker tier, or both machines, where that is too little.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from agentkit.errors import SandboxError
from agentkit.progress import silent
from agentkit.sandbox.check import python_version
from agentkit.sandbox.frames import FrameError, FrameReader, encode_frame
from agentkit.sandbox.interface import Limits, Tier
from agentkit.sandbox.packages import BUNDLED_LOCK, PackageLock
from agentkit.sandbox.request import frame_bytes
from agentkit.sandbox.session import open_session
from agentkit.sandbox.wasm.build import boot_command, ensure_guest, versions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from anyio.abc import Process

    from agentkit.progress import Progress
    from agentkit.sandbox.egress import EgressDoor
    from agentkit.sandbox.interface import Egress, ImportAllowlist, SandboxSession
    from agentkit.sandbox.session import StartWorker
    from agentkit.sandbox.wasm.cache import CachedFile

__all__ = ["WasmSandbox"]

_START_TIMEOUT_S = 30.0
_LEAST_MEMORY_MIB = 64  # CPython with its standard library takes 40 of them


class WasmSandbox:
    """The tier that needs nothing installed but two wheels.

    ``packages``: what code may import besides the standard library, names of pure Python packages
    on the allowlist ``lock``; they are built into a guest of their own. ``cache``: where the
    compiled guest is kept. ``progress``: told of the stages of the first build. ``seed``: makes
    random numbers the same in each fresh interpreter. Raises ``SandboxError`` for a package that
    is not allowed or not pure.
    """

    def __init__(
        self,
        *,
        packages: Iterable[str] = (),
        lock: Path = BUNDLED_LOCK,
        cache: Path | None = None,
        progress: Progress = silent,
        seed: int | None = None,
    ) -> None:
        self._packages = PackageLock.load(lock).select_pure(packages) if packages else ()
        self._cache = cache
        self._progress = progress
        self._seed = seed
        self._guest: CachedFile | None = None

    @property
    def tier(self) -> Tier:
        """Return ``Tier.WASM``."""
        return Tier.WASM

    async def check(self) -> str:
        """Run a line through a worker; return versions and walls. See ``Sandbox.check``."""
        version = await python_version(self, "remove the cache directory (AGENTKIT_CACHE)")
        return (
            f"CPython {version} on wasmtime {versions()['wasmtime']}, worker process, "
            f"no files, no network, no processes{self._held()}"
        )

    def _held(self) -> str:
        names = [f"{one.name} {one.version}" for one in self._packages]
        return f", with {', '.join(names)}" if names else ""

    def session(
        self,
        limits: Limits = Limits(),
        *,
        fresh: bool = False,
        imports: ImportAllowlist | None = None,
        egress: Egress | None = None,
    ) -> AbstractAsyncContextManager[SandboxSession]:
        """Open a session with a warm worker; see ``Sandbox.session``."""
        return open_session(self, limits, fresh=fresh, imports=imports, egress=egress)

    @asynccontextmanager
    async def workers(
        self, limits: Limits, egress: Egress | None = None
    ) -> AsyncIterator[StartWorker]:
        """Make the guest ready; give the function that starts a worker. Raises ``SandboxError``."""
        if egress is not None:
            raise SandboxError(
                "the wasm tier has no network to give", cure="use the docker tier for egress"
            )
        if limits.memory_mib < _LEAST_MEMORY_MIB:
            raise SandboxError(
                f"{limits.memory_mib} MiB are too little for Python",
                cure=f"give Limits.memory_mib of at least {_LEAST_MEMORY_MIB}",
            )
        if self._guest is None:
            self._guest = await ensure_guest(self._cache, self._progress, self._packages)
        yield partial(_start_worker, self._guest, limits, self._seed)


async def _start_worker(guest: CachedFile, limits: Limits, seed: int | None) -> _WorkerProcess:
    worker = _WorkerProcess(frame_bytes(limits))
    try:
        await worker.start(guest, limits, seed)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await worker.kill()
        raise
    return worker


class _WorkerProcess:
    """The process at the other end of a socket, which is its standard input and output."""

    sets_clock = True

    def __init__(self, max_frame_bytes: int) -> None:
        self._reader = FrameReader(max_frame_bytes)
        self._frames: list[dict[str, Any]] = []
        self._process: Process | None = None
        self._socket: socket.socket | None = None

    @property
    def ended(self) -> bool:
        return self._process is None or self._process.returncode is not None

    async def start(self, guest: CachedFile, limits: Limits, seed: int | None) -> None:
        arguments = [
            str(guest.path),
            guest.sha256,
            str(limits.memory_mib << 20),
            str(os.getpid()),
            "" if seed is None else str(seed),
        ]
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        with theirs:
            self._process = await anyio.open_process(
                boot_command("agentkit.sandbox.wasm.worker", "main", *arguments),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={},
                start_new_session=True,
            )
        told: dict[str, Any] = {"error": "it did not start in time"}
        with anyio.move_on_after(_START_TIMEOUT_S):
            try:
                told = await self.receive()
            except (EOFError, FrameError) as error:
                told = {"error": f"it ended at its start: {error}"}
        if told.get("type") != "ready":
            raise SandboxError(
                f"the wasm worker failed: {told.get('error')}",
                cure=f"see whether '{sys.executable} -c \"import wasmtime\"' works; if it does, "
                "remove the cache directory (AGENTKIT_CACHE)",
            )

    async def send(self, message: dict[str, Any]) -> None:
        """Send a frame. Raises ``EOFError`` where nobody listens."""
        data = memoryview(encode_frame(message))
        while data:
            connection = self._connection()
            try:
                data = data[connection.send(data) :]
            except BlockingIOError:
                await anyio.wait_writable(connection)
            except OSError as error:
                raise EOFError("the worker does not listen") from error

    async def receive(self) -> dict[str, Any]:
        """Return the next frame. Raises ``EOFError`` when there is none, and ``FrameError``."""
        while not self._frames:
            connection = self._connection()
            await anyio.wait_readable(connection)
            try:
                data = connection.recv(1 << 16)
            except BlockingIOError:
                continue
            except OSError as error:
                raise EOFError("the worker ended") from error
            if not data:
                raise EOFError("the worker ended")
            self._frames.extend(self._reader.feed(data))
        return self._frames.pop(0)

    def _connection(self) -> socket.socket:
        if self._socket is None:
            raise EOFError("no worker")
        return self._socket

    def use_door(self, door: EgressDoor) -> None:
        """Do nothing: this tier refuses sessions with egress."""

    async def kill(self) -> None:
        """Kill the worker's whole group and wait until it is gone."""
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                with suppress(ProcessLookupError):  # it may end by itself just now
                    os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            await process.aclose()
        connection, self._socket = self._socket, None
        if connection is not None:
            anyio.notify_closing(connection)  # wakes whoever reads
            connection.close()
