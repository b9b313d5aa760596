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

from agentkit.sandbox.check import python_version
from agentkit.sandbox.docker.container import ContainerBuild, ContainerWorker
from agentkit.sandbox.docker.engine import connect, require_runtime
from agentkit.sandbox.docker.image import find_image
from agentkit.sandbox.docker.reaping import reap
from agentkit.sandbox.interface import Limits, Tier
from agentkit.sandbox.packages import BUNDLED_LOCK, PackageLock
from agentkit.sandbox.session import open_session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    import docker

    from agentkit.sandbox.interface import Egress, ImportAllowlist, SandboxSession
    from agentkit.sandbox.session import StartWorker

__all__ = ["DockerSandbox"]


class DockerSandbox:
    """The tier for real packages, behind the kernel's walls.

    ``url``: the engine, by default ``$DOCKER_HOST`` or the local socket. ``cpus``: processor time
    of a container, in processors. ``runtime``: the engine's runtime, such as ``runsc``.
    ``packages``: those of the image, names on the allowlist ``lock``. ``preload``: modules that
    every interpreter starts with, such as ``numpy``; they are imported once a container.
    ``image``: the id (``sha256:...``) that the image must have, where you have pinned one.
    """

    def __init__(
        self,
        *,
        url: str | None = None,
        cpus: float = 1.0,
        runtime: str | None = None,
        packages: Iterable[str] = (),
        lock: Path = BUNDLED_LOCK,
        preload: Iterable[str] = (),
        image: str | None = None,
    ) -> None:
        self._url = url
        self._packages = PackageLock.load(lock).select(packages)
        self._image = image
        self._build = ContainerBuild(cpus, runtime, tuple(preload))

    @property
    def tier(self) -> Tier:
        """Return ``Tier.DOCKER``."""
        return Tier.DOCKER

    async def check(self) -> str:
        """Run a line through a container; return versions and walls. See ``Sandbox.check``."""
        version = await python_version(self, "build the image again: agentkit sandbox build")
        engine = await anyio.to_thread.run_sync(self._engine_version)
        return (
            f"CPython {version} in Docker {engine}, runtime {self._build.runtime or 'default'}, "
            "no network, user 65534, own seccomp profile, read-only root"
        )

    def session(
        self,
        limits: Limits = Limits(),
        *,
        fresh: bool = False,
        imports: ImportAllowlist | None = None,
        egress: Egress | None = None,
    ) -> AbstractAsyncContextManager[SandboxSession]:
        """Open a session in a container of its own; see ``Sandbox.session``."""
        return open_session(self, limits, fresh=fresh, imports=imports, egress=egress)

    @asynccontextmanager
    async def workers(
        self, limits: Limits, egress: Egress | None = None
    ) -> AsyncIterator[StartWorker]:
        """Connect to the engine; give the function that starts a container. Raises
        ``SandboxError``.
        """
        client, image_id = await anyio.to_thread.run_sync(self._ready_engine)
        try:
            failure: Exception | None = None
            async with anyio.create_task_group() as group:

                def make() -> ContainerWorker:
                    return ContainerWorker(client, limits, egress=None if egress is None else group)

                try:
                    yield partial(_start_worker, make, image_id, self._build)
                except Exception as error:  # noqa: BLE001  raised below, as it is and not in a group
                    failure = error
                group.cancel_scope.cancel()
            if failure is not None:
                raise failure
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(client.close)

    def _ready_engine(self) -> tuple[docker.DockerClient, str]:
        client = connect(self._url)
        try:
            require_runtime(client, self._build.runtime)
            image_id = find_image(client, self._packages, self._image)
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
    make: Callable[[], ContainerWorker], image_id: str, build: ContainerBuild
) -> ContainerWorker:
    worker = make()
    try:
        await worker.start(image_id, build)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await worker.kill()
        raise
    return worker
