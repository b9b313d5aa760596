"""An engine that is absent, closed to this user or reached in the open is one error with a cure."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import anyio
import pytest

from agentkit.errors import SandboxError
from agentkit.sandbox import Tier, open_sandbox
from agentkit.sandbox.docker import image
from agentkit.sandbox.docker.engine import connect

if TYPE_CHECKING:
    from pathlib import Path


def test_no_engine(tmp_path: Path) -> None:
    sandbox = open_sandbox(Tier.DOCKER, url=f"unix://{tmp_path}/none.sock")
    with pytest.raises(SandboxError, match="no Docker engine answers") as caught:
        anyio.run(sandbox.check)
    assert "dockerd" in caught.value.cure


def test_a_socket_without_an_engine_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))
    with pytest.raises(SandboxError, match="no Docker engine answers"):
        connect(f"unix://{path}")


@pytest.mark.parametrize("url", ["tcp://10.0.0.5:2375", "http://127.0.0.1:2375", "ssh://host", "x"])
def test_open_transports_are_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_TLS_VERIFY", raising=False)
    monkeypatch.setenv("DOCKER_HOST", url)
    with pytest.raises(SandboxError, match="without verified TLS"):
        connect()


@pytest.mark.docker
def test_a_missing_image_names_its_cure(docker_image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "image_tag", lambda _: "agentkit-sandbox:never-built")
    with pytest.raises(SandboxError, match="not built") as caught:
        anyio.run(open_sandbox(Tier.DOCKER).check)
    assert "agentkit sandbox build" in caught.value.cure


@pytest.mark.docker
def test_an_unknown_runtime_is_refused_with_its_cure(docker_image: str) -> None:
    with pytest.raises(
        SandboxError, match=r"no runtime 'no-such-runtime'; it has .*runc"
    ) as caught:
        anyio.run(open_sandbox(Tier.DOCKER, runtime="no-such-runtime").check)
    assert "daemon.json" in caught.value.cure


@pytest.mark.docker
def test_a_runtime_the_engine_has_is_used(docker_image: str) -> None:
    assert "runtime runc" in anyio.run(open_sandbox(Tier.DOCKER, runtime="runc").check)
