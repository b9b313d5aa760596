"""Reach the Docker engine, or say in one line why not and what to do.

What is covered: only a local socket or TLS is accepted; an engine without seccomp is refused.
What is not covered: who else may use that engine. Whoever reaches its socket is root there.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agentkit.errors import SandboxError

if TYPE_CHECKING:
    import docker

__all__ = ["DEFAULT_SOCKET", "connect", "require_runtime"]

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
_TIMEOUT_S = 20


def connect(url: str | None = None) -> docker.DockerClient:
    """Return a client of the engine at ``url``, else ``$DOCKER_HOST``, else the usual socket.

    Works with Podman's socket too (``unix:///run/user/1000/podman/podman.sock``). Raises
    ``SandboxError``.
    """
    try:
        import docker  # noqa: PLC0415  docker stays optional
        import docker.errors  # noqa: PLC0415  see above
    except ImportError as error:
        raise SandboxError(
            "the docker sandbox needs the docker SDK, which is not installed",
            cure="pip install 'agentkit-gated[docker]'",
        ) from error
    address = url or os.environ.get("DOCKER_HOST") or DEFAULT_SOCKET
    environment = {**os.environ, "DOCKER_HOST": address}
    _refuse_open_transport(address, environment)
    try:
        client = docker.from_env(environment=environment, timeout=_TIMEOUT_S)
        info = client.info()
    except (docker.errors.DockerException, OSError) as error:
        raise _unreachable(address, error) from error
    if not any("seccomp" in option for option in info.get("SecurityOptions") or ()):
        client.close()
        raise SandboxError(
            "the engine does not offer seccomp, which the sandbox needs",
            place=address,
            cure="use an engine built with seccomp, on a Linux kernel",
        )
    return client


def require_runtime(client: docker.DockerClient, runtime: str | None) -> None:
    """Raise ``SandboxError`` where the engine has no such runtime; None is the engine's default."""
    if runtime is None:
        return
    known = sorted(client.info().get("Runtimes") or ())
    if runtime not in known:
        raise SandboxError(
            f"the engine has no runtime {runtime!r}; it has {', '.join(known) or 'none'}",
            place="runtime",
            cure=f"install it and name it in the engine's daemon.json ('runtimes': {{{runtime!r}: "
            "{'path': ...}}), then restart the engine; or leave runtime out",
        )


def _refuse_open_transport(address: str, environment: dict[str, str]) -> None:
    scheme = address.partition("://")[0]
    if scheme in {"unix", "http+unix"}:
        return
    if scheme in {"tcp", "https"} and environment.get("DOCKER_TLS_VERIFY"):
        return
    raise SandboxError(
        f"the engine at {address} would be reached without verified TLS",
        place="DOCKER_HOST",
        cure="set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH for a tcp:// address, or use unix://",
    )


def _unreachable(address: str, error: Exception) -> SandboxError:
    text = str(error)
    if "Permission denied" in text or "PermissionError" in text:
        return SandboxError(
            "this user may not use the Docker engine",
            place=address,
            cure="sudo usermod -aG docker $USER, then log in again",
        )
    return SandboxError(
        "no Docker engine answers",
        place=address,
        cure="start it (sudo systemctl start docker, or sudo dockerd &), or install docker.io",
    )
