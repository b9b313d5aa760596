"""One container of the tier: how it is walled, how frames reach its runner, how it ends.

What is covered: no network, user 65534, no capability, no new privileges, a seccomp allowlist
tighter than Docker's, a read-only root, small tmpfs mounts without programs or devices, limits on
processes, memory (no swap), processor, file size and open files, nothing of the host mounted. The
container's standard input ends with its owner, and the runner with it; the engine then removes the
container. What a crash leaves all the same is found by its label and removed by ``reap``.
What is not covered: a flaw of the kernel. Use ``runtime="runsc"`` where that is too little.
"""

from __future__ import annotations

import os
import platform
import ssl
import struct
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import docker
import docker.errors
import docker.types
import requests.exceptions
import structlog

from agentkit.errors import SandboxError
from agentkit.sandbox.frames import FrameError, FrameReader, encode_frame
from agentkit.sandbox.request import frame_bytes

if TYPE_CHECKING:
    import socket

    from agentkit.sandbox.interface import Limits

__all__ = ["LABEL", "ContainerWorker", "reap"]

LABEL = "agentkit.sandbox"
_OWNER = "agentkit.sandbox.owner"
_SECCOMP = Path(__file__).parent / "seccomp.json"
_USER = "65534:65534"
_START_TIMEOUT_S = 30.0
_RUNNER_MIB = 48
_SCRATCH_MIB = 16
_OPEN_FILES = 256
_CPU_PERIOD_US = 100_000
_STREAM_HEADER = struct.Struct(">BxxxI")
_STDERR = 2
_STDERR_BYTES = 4096
_ENGINE_ERRORS = (docker.errors.DockerException, requests.exceptions.RequestException, OSError)
_log = structlog.get_logger(__name__)


def _tmpfs(size_bytes: int) -> str:
    return f"rw,noexec,nosuid,nodev,size={size_bytes},nr_inodes=4096,mode=0700,uid=65534,gid=65534"


def _host_options(limits: Limits, cpus: float, runtime: str | None) -> dict[str, Any]:
    """Return the walls, as options of the engine."""
    work_bytes = 2 * limits.file_bytes
    scratch_bytes = _SCRATCH_MIB << 20
    # What lies in a tmpfs counts as the container's memory.
    memory = ((limits.memory_mib + _RUNNER_MIB) << 20) + work_bytes + 2 * scratch_bytes
    return {
        "network_mode": "none",
        "cap_drop": ["ALL"],
        "privileged": False,
        "security_opt": [
            "no-new-privileges:true",
            f"seccomp={_SECCOMP.read_text(encoding='utf-8')}",
        ],
        "read_only": True,
        "tmpfs": {"/work": _tmpfs(work_bytes), "/tmp": _tmpfs(scratch_bytes)},  # noqa: S108  in the container
        "shm_size": scratch_bytes,
        "ipc_mode": "private",
        "pids_limit": limits.processes + 2,  # the runner and its interpreter
        "mem_limit": memory,
        "memswap_limit": memory,
        "cpu_period": _CPU_PERIOD_US,
        "cpu_quota": int(cpus * _CPU_PERIOD_US),
        "ulimits": [
            docker.types.Ulimit(name="fsize", soft=limits.file_bytes, hard=limits.file_bytes),
            docker.types.Ulimit(name="nofile", soft=_OPEN_FILES, hard=_OPEN_FILES),
            docker.types.Ulimit(name="core", soft=0, hard=0),
        ],
        # The runner is process 1 itself, not docker-init: an init of the same user could be read
        # through /proc by the code, and it holds the container's streams.
        "init": False,
        "auto_remove": True,
        "log_config": docker.types.LogConfig(type="none"),
        "runtime": runtime,
    }


class ContainerWorker:
    """A running container whose runner answers frames. See ``session.Worker``."""

    sets_clock = False

    def __init__(self, client: docker.DockerClient, limits: Limits) -> None:
        self._api = client.api
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

    async def start(self, image_id: str, cpus: float, runtime: str | None) -> None:
        """Create the container, attach to it and start it. Raises ``SandboxError``."""
        launch = partial(self._launch, image_id, cpus, runtime)
        try:
            # Not abandoned when cancelled: the container's id must be known to remove it.
            await anyio.to_thread.run_sync(launch)
        except _ENGINE_ERRORS as error:
            raise SandboxError(
                f"the engine did not start the container: {error}",
                cure="see the engine's log; 'python -m agentkit.sandbox.docker' builds the image",
            ) from error
        told: dict[str, Any] = {}
        with anyio.move_on_after(_START_TIMEOUT_S), suppress(EOFError, FrameError):
            await self.send({"op": "hello", "memory_bytes": self._limits.memory_mib << 20})
            told = await self.receive()
        if told.get("type") != "ready":
            reason = self._complaint.decode("utf-8", "replace").strip()[-500:]
            raise SandboxError(
                f"the container's runner did not come up: {reason or 'it said nothing'}",
                cure="build the image again: python -m agentkit.sandbox.docker",
            )

    def _launch(self, image_id: str, cpus: float, runtime: str | None) -> None:
        api = self._api
        host_config = api.create_host_config(**_host_options(self._limits, cpus, runtime))
        created = api.create_container(
            image_id,
            user=_USER,
            stdin_open=True,
            network_disabled=True,
            hostname="sandbox",
            labels={LABEL: "1", _OWNER: _owner()},
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
        """Send a frame to the runner. Raises ``EOFError`` where it is gone."""
        data = memoryview(encode_frame(message))
        while data:
            connection = self._connection()
            try:
                data = data[connection.send(data) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                await anyio.wait_writable(connection)
            except OSError as error:
                raise self._gone() from error

    async def receive(self) -> dict[str, Any]:
        """Return the runner's next frame. Raises ``EOFError`` or ``FrameError``."""
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

    async def kill(self) -> None:
        """Kill the container and wait until the engine has removed it."""
        self._ended = True
        if self._attached is not None:
            self._attached.close()
            self._attached = self._socket = None
        container_id, self.container_id = self.container_id, None
        if container_id is not None:
            await anyio.to_thread.run_sync(_remove, self._api, container_id)


def _remove(api: docker.APIClient, container_id: str) -> None:
    try:
        api.remove_container(container_id, force=True, v=True)
    except docker.errors.NotFound:
        return
    except _ENGINE_ERRORS as error:
        if not _being_removed(error):
            _log.warning("sandbox_container_left", container=container_id, reason=str(error))
            return
        with suppress(*_ENGINE_ERRORS):
            api.wait(container_id, timeout=10, condition="removed")


def _being_removed(error: Exception) -> bool:
    return isinstance(error, docker.errors.APIError) and error.status_code == 409  # noqa: PLR2004  HTTP: conflict


def _owner() -> str:
    """Return this process' name across restarts: machine, pid and time of its start."""
    return f"{platform.node()}/{os.getpid()}/{_started(os.getpid())}"


def _started(pid: int) -> str:
    """Return when a process started, in ticks since boot; empty where the system does not tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _is_alive(owner: str) -> bool:
    """Whether the process of that name lives; one on another machine is taken to."""
    node, _, rest = owner.partition("/")
    pid, _, started = rest.partition("/")
    if node != platform.node() or not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it exists and is another user's
    return _started(int(pid)) == started


def reap(client: docker.DockerClient) -> int:
    """Remove the containers whose owner is gone; return how many there were."""
    found = client.api.containers(all=True, filters={"label": [LABEL]})
    dead = [item for item in found if not _is_alive(str(item["Labels"].get(_OWNER, "")))]
    for item in dead:
        _log.warning("sandbox_container_reaped", container=item["Id"])
        _remove(client.api, str(item["Id"]))
    return len(dead)
