"""The docker tier: one hardened container per session. See ``container.py`` for the walls.

What is covered: the walls of the container, the runner inside it (time, output, files), and the
host's own clock outside of it; containers of dead owners are reaped at each check and session.
What is not covered: side channels of shared hardware, and what a kernel flaw gives away.
"""

from __future__ import annotations

import platform
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from agentkit.errors import SandboxError
from agentkit.sandbox.docker.container import ContainerWorker
from agentkit.sandbox.docker.engine import connect, require_runtime
from agentkit.sandbox.docker.image import find_image
from agentkit.sandbox.docker.reaping import reap
from agentkit.sandbox.interface import Limits, Tier
from agentkit.sandbox.session import WorkerSession

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import docker

    from agentkit.sandbox.interface import SandboxSession

__all__ = ["DockerSandbox"]


class DockerSandbox:
    """The tier for real packages, behind the kernel's walls.

    ``url``: the engine, by default ``$DOCKER_HOST`` or the local socket. ``cpus``: processor time
    of a container, in processors. ``runtime``: the engine's runtime, such as ``runsc``.
    """

    def __init__(
        self, *, url: str | None = None, cpus: float = 1.0, runtime: str | None = None
    ) -> None:
        self._url = url
        self._cpus = cpus
        self._runtime = runtime

    @property
    def tier(self) -> Tier:
        """Return ``Tier.DOCKER``."""
        return Tier.DOCKER

    async def check(self) -> str:
        """Run a line through a container; return versions and walls. See ``Sandbox.check``."""
        async with self.session() as session:
            execution = await session.run("import sys; sys.version.split()[0]")
        if not execution.ok or not isinstance(execution.value, str):
            raise SandboxError(
                f"the docker sandbox did not answer: {execution.exit_reason}: {execution.error}",
                cure="build the image again: python -m agentkit.sandbox.docker",
            )
        engine = await anyio.to_thread.run_sync(self._engine_version)
        return (
            f"CPython {execution.value} in Docker {engine}, runtime {self._runtime or 'default'}, "
            "no network, user 65534, own seccomp profile, read-only root"
        )

    @asynccontextmanager
    async def session(self, limits: Limits = Limits()) -> AsyncIterator[SandboxSession]:
        """Open a session in a container of its own. Raises ``SandboxError``."""
        client, image_id = await anyio.to_thread.run_sync(self._ready_engine)
        start = partial(_start_worker, client, limits, image_id, self._cpus, self._runtime)
        session = WorkerSession(start, limits)
        try:
            await session.open()
            yield session
        finally:
            with anyio.CancelScope(shield=True):
                await session.close()
                await anyio.to_thread.run_sync(client.close)

    def _ready_engine(self) -> tuple[docker.DockerClient, str]:
        client = connect(self._url)
        try:
            require_runtime(client, self._runtime)
            image_id = find_image(client)
            reap(client)
        except BaseException:
            client.close()
            raise
        return client, image_id

    def _engine_version(self) -> str:
        client = connect(self._url)
        try:
            return f"{client.version()['Version']} on {platform.machine()}"
        finally:
            client.close()


async def _start_worker(
    client: docker.DockerClient,
    limits: Limits,
    image_id: str,
    cpus: float,
    runtime: str | None,
) -> ContainerWorker:
    worker = ContainerWorker(client, limits)
    try:
        await worker.start(image_id, cpus, runtime)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await worker.kill()
        raise
    return worker
