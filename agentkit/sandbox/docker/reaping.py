"""Whose container is it, and is its owner alive? What a crash leaves is found here and removed.

What is covered: each container carries its owner's machine, process and start time, so that a
process id used again is not taken for the owner; only what belongs to a dead owner of this machine
is removed. What is not covered: containers of owners on other machines, or in another process
namespace of the same name; those are taken to live.
"""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path

import docker
import docker.errors
import requests.exceptions
import structlog

__all__ = ["ENGINE_ERRORS", "LABEL", "own_labels", "reap", "remove_container"]

LABEL = "agentkit.sandbox"
ENGINE_ERRORS = (docker.errors.DockerException, requests.exceptions.RequestException, OSError)
"""What the SDK raises where the engine refuses or does not answer."""

_OWNER = "agentkit.sandbox.owner"
_REMOVED_TIMEOUT_S = 10
_log = structlog.get_logger(__name__)


def own_labels() -> dict[str, str]:
    """Return the labels of what this process starts."""
    return {LABEL: "1", _OWNER: _owner()}


def reap(client: docker.DockerClient) -> int:
    """Remove the containers whose owner is gone; return how many there were."""
    found = client.api.containers(all=True, filters={"label": [LABEL]})
    dead = [item for item in found if not _is_alive(str(item["Labels"].get(_OWNER, "")))]
    for item in dead:
        _log.warning("sandbox_container_reaped", container=item["Id"])
        remove_container(client.api, str(item["Id"]))
    return len(dead)


def remove_container(api: docker.APIClient, container_id: str) -> None:
    """Kill and remove a container and wait until it is gone; one that is gone is no error."""
    try:
        api.remove_container(container_id, force=True, v=True)
    except docker.errors.NotFound:
        return
    except ENGINE_ERRORS as error:
        if not _being_removed(error):
            _log.warning("sandbox_container_left", container=container_id, reason=str(error))
            return
        with suppress(*ENGINE_ERRORS):
            api.wait(container_id, timeout=_REMOVED_TIMEOUT_S, condition="removed")


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
