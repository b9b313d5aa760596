"""One container of the tier: how frames reach its runner, and how it ends.

What is covered: the walls of ``walls.py``. The container's standard input ends with its owner, and
the runner with it; the engine then removes the container. What a crash leaves all the same is
found by its label and removed, see ``reaping.py``.
What is not covered: what the runner does inside, see ``runner.py``.
"""

from __future__ import annotations

import socket
import ssl
import struct
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from agentkit.errors import SandboxError
from agentkit.sandbox.docker.outlet import PORT
from agentkit.sandbox.docker.reaping import ENGINE_ERRORS, own_labels, remove_container
from agentkit.sandbox.docker.walls import USER, host_options
from agentkit.sandbox.egress.wires import WIRE_FRAMES, Wires
from agentkit.sandbox.frames import FrameError, FrameReader, encode_frame
from agentkit.sandbox.request import frame_bytes

if TYPE_CHECKING:
    import docker
    from anyio.abc import TaskGroup, TaskStatus
    from anyio.streams.memory import MemoryObjectReceiveStream

    from agentkit.sandbox.egress.door import EgressDoor
    from agentkit.sandbox.interface import Limits

__all__ = ["ContainerBuild", "ContainerWorker"]

_START_TIMEOUT_S = 30.0
_STREAM_HEADER = struct.Struct(">BxxxI")
_STDERR = 2
_STDERR_BYTES = 4096
_FRAMES_WAITING = 1024
_STUCK_S = 5.0
_ADDRESS = f"http://127.0.0.1:{PORT}"
# A convenience for libraries, no enforcement: there is no other way out.
_PROXY = {name: _ADDRESS for key in ("http_proxy", "https_proxy") for name in (key, key.upper())}


@dataclass(frozen=True, slots=True)
class ContainerBuild:
    """How a container is made, beside its limits. ``cpus``: in processors. ``preload``: modules."""

    cpus: float = 1.0
    runtime: str | None = None
    preload: tuple[str, ...] = ()


class ContainerWorker:
    """A running container whose runner answers frames. See ``session.Worker``."""

    sets_clock = False

    def __init__(
        self,
        client: docker.DockerClient,
        limits: Limits,
        *,
        egress: TaskGroup | None = None,
    ) -> None:
        """``egress``: whose tasks serve the code's connections, for a container that has any."""
        self._api = client.api
        self._pumped: MemoryObjectReceiveStream[dict[str, Any]] | None = None
        self._wires: Wires | None = None
        if egress is not None:
            self._wires = Wires(self.send, egress)
            self._group = egress
        self._sending = anyio.Lock()
        self._limits = limits
        self._reader = FrameReader(frame_bytes(limits))
        self._frames: list[dict[str, Any]] = []
        self._raw = bytearray()
        self._complaint = bytearray()
        self._socket: socket.socket | None = None
        self._attached: Any = None
        self._ended = False
        self.container_id: str | None = None

    @property
    def ended(self) -> bool:
        """Whether the container is known to be gone."""
        return self._ended

    async def start(self, image_id: str, build: ContainerBuild) -> None:
        """Create the container, attach to it and start it. Raises ``SandboxError``."""
        launch = partial(self._launch, image_id, build)
        try:
            # Not abandoned when cancelled: the container's id must be known to remove it.
            await anyio.to_thread.run_sync(launch)
        except ENGINE_ERRORS as error:
            raise SandboxError(
                f"the engine did not start the container: {error}",
                cure="see the engine's log; 'agentkit sandbox build' builds the image",
            ) from error
        told: dict[str, Any] = {}
        with anyio.move_on_after(_START_TIMEOUT_S), suppress(EOFError, FrameError):
            await self.send(_hello(self._limits, build, egress=self._wires is not None))
            told = await self.receive()
        if self._wires is not None:
            await self._group.start(self._pump)
        if told.get("type") != "ready":
            reason = self._complaint.decode("utf-8", "replace").strip()[-500:]
            raise SandboxError(
                f"the container's runner did not come up: {reason or 'it said nothing'}",
                cure="build the image again: agentkit sandbox build",
            )

    def _launch(self, image_id: str, build: ContainerBuild) -> None:
        api = self._api
        host_config = api.create_host_config(
            **host_options(self._limits, build.cpus, build.runtime, preload=bool(build.preload))
        )
        created = api.create_container(
            image_id,
            user=USER,
            stdin_open=True,
            network_disabled=True,
            hostname="sandbox",
            labels=own_labels(),
            environment={} if self._wires is None else _PROXY,
            host_config=host_config,
        )
        self.container_id = str(created["Id"])
        streams = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        self._attached = api.attach_socket(self.container_id, streams)
        # The SDK wraps a socket for reading only; frames go both ways.
        self._socket = getattr(self._attached, "_sock", self._attached)
        self._socket.setblocking(False)
        api.start(self.container_id)

    async def send(self, message: dict[str, Any]) -> None:
        """Send a frame to the runner. Raises ``EOFError`` where it is gone.

        Half a frame would break the stream for all others, so whoever is cancelled in the middle of
        one still sends its rest, as long as the runner takes it.
        """
        data = memoryview(encode_frame(message))
        async with self._sending:
            data = data[await self._write(data) :]
            with anyio.CancelScope(shield=True) as rest:
                while data:
                    rest.deadline = anyio.current_time() + _STUCK_S
                    data = data[await self._write(data) :]
            if data:
                raise self._gone()

    async def _write(self, data: memoryview) -> int:
        while True:
            connection = self._connection()
            try:
                return connection.send(data)
            except (BlockingIOError, ssl.SSLWantWriteError):
                await anyio.wait_writable(connection)
            except OSError as error:
                raise self._gone() from error

    async def receive(self) -> dict[str, Any]:
        """Return the runner's next frame. Raises ``EOFError`` or ``FrameError``."""
        if self._pumped is None:
            return await self._receive()
        try:
            return await self._pumped.receive()
        except anyio.EndOfStream:
            raise self._gone() from None

    async def _pump(self, *, task_status: TaskStatus[None]) -> None:
        """Read all the time, so that wires are served while nobody waits for a result."""
        give, self._pumped = anyio.create_memory_object_stream[dict[str, Any]](_FRAMES_WAITING)
        task_status.started()
        async with give:
            with suppress(EOFError, FrameError, anyio.BrokenResourceError, OSError):
                while True:
                    frame = await self._receive()
                    if frame.get("type") in WIRE_FRAMES and self._wires is not None:
                        self._wires.take(frame)
                    else:
                        await give.send(frame)
        if self._wires is not None:
            self._wires.hang_up()

    async def _receive(self) -> dict[str, Any]:
        while not self._frames:
            connection = self._connection()
            try:
                data = connection.recv(1 << 16)
            except (BlockingIOError, ssl.SSLWantReadError):
                await anyio.wait_readable(connection)
                continue
            except OSError as error:
                raise self._gone() from error
            if not data:
                raise self._gone()
            self._take(data)
        return self._frames.pop(0)

    def _take(self, data: bytes) -> None:
        """Undo the engine's multiplexing of the two output streams."""
        self._raw += data
        while len(self._raw) >= _STREAM_HEADER.size:
            stream, length = _STREAM_HEADER.unpack_from(self._raw)
            end = _STREAM_HEADER.size + length
            if len(self._raw) < end:
                return
            payload = bytes(self._raw[_STREAM_HEADER.size : end])
            del self._raw[:end]
            if stream == _STDERR:
                self._complaint += payload[: _STDERR_BYTES - len(self._complaint)]
            else:
                self._frames.extend(self._reader.feed(payload))

    def _connection(self) -> socket.socket:
        if self._socket is None:
            raise EOFError("no container")
        return self._socket

    def _gone(self) -> EOFError:
        self._ended = True
        return EOFError("the container ended")

    def use_door(self, door: EgressDoor) -> None:
        """Let code out through ``door`` from now on."""
        if self._wires is not None:
            self._wires.door = door

    async def kill(self) -> None:
        """Kill the container and wait until the engine has removed it."""
        self._ended = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # wakes whoever reads
        if self._pumped is not None:
            self._pumped.close()
        if self._attached is not None:
            self._attached.close()
            self._attached = self._socket = None
        container_id, self.container_id = self.container_id, None
        if container_id is not None:
            await anyio.to_thread.run_sync(remove_container, self._api, container_id)


def _hello(limits: Limits, build: ContainerBuild, *, egress: bool) -> dict[str, Any]:
    """Return the frame that a runner waits for before its first run."""
    wrong = [name for name in build.preload if not all(p.isidentifier() for p in name.split("."))]
    if wrong:
        raise SandboxError(f"{wrong[0]!r} is no module to preload", cure="name modules: numpy")
    return {
        "op": "hello",
        "memory_bytes": limits.memory_mib << 20,
        "preload": list(build.preload),
        "egress": egress,
    }
