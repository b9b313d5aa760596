"""The docker tier holds every hostile payload: the shared set, and those that go for containers."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import docker
import pytest

from agentkit.sandbox import Tier
from agentkit.sandbox.docker.reaping import LABEL
from tests.sandbox.audited import audited_runs
from tests.sandbox.payload_set import CLASSES, LIMITS, payloads_of, planted_canaries

if TYPE_CHECKING:
    from agentkit.sandbox import Sandbox
    from tests.sandbox.audited import AuditedRuns
    from tests.sandbox.payload_set import Canaries, Payload

pytestmark = pytest.mark.docker

OWN = Path(__file__).parent / "payloads_docker" / "kernel.yaml"
ALL = bool(os.environ.get("AGENTKIT_TEST_ALL"))
EVERY = {"resource_exhaustion": 4, "own": 2}  # which share of the slow ones runs in CI


def _processes(engine: docker.DockerClient, container: str) -> list[str]:
    return [row[-1] for row in engine.api.top(container)["Processes"]]


async def _attack(
    sandbox: Sandbox,
    payloads: list[Payload],
    canaries: Canaries,
    runs: AuditedRuns,
    engine: docker.DockerClient,
) -> list[tuple[str, object]]:
    """Run all payloads in one session, each followed by a reset and innocent code; return what
    went wrong.
    """
    wrong: list[tuple[str, object]] = []
    async with sandbox.session(LIMITS) as session:
        for payload in payloads:
            hit = await runs.run(session, payload.name, canaries.planted(payload))
            signs = [*canaries.touched(hit), *payload.faults(hit, Tier.DOCKER)]
            await session.reset()
            after = await session.run("print('fine'); __import__('os').listdir('.')")
            if (after.value, after.stdout) != ([], "fine\n"):
                signs.append(f"the next run: {after}")
            container = session._worker.container_id  # type: ignore[attr-defined]  # behind the protocol
            left = await anyio.to_thread.run_sync(_processes, engine, container)
            if len(left) > 2 or not all("sandbox.docker.runner" in one for one in left):
                signs.append(f"processes are left: {left}")
            wrong += [(payload.name, sign) for sign in signs]
    return wrong


def _left_behind(engine: docker.DockerClient) -> tuple[set[str], set[str], set[str]]:
    """Return what an engine may keep of a session: containers, networks, volumes."""
    containers = engine.api.containers(all=True, filters={"label": LABEL})
    volumes = engine.api.volumes()["Volumes"] or []
    return (
        {str(one["Id"]) for one in containers},
        {str(one["Id"]) for one in engine.api.networks()},
        {str(one["Name"]) for one in volumes},
    )


@pytest.mark.parametrize("kind", [*CLASSES, "own"])
def test_docker_holds_every_payload(kind: str, docker_sandbox: Sandbox, tmp_path: Path) -> None:
    payloads = payloads_of(kind, OWN) if kind == "own" else payloads_of(kind)
    share = payloads[:: 1 if ALL else EVERY.get(kind, 1)]
    engine = docker.from_env()
    before = _left_behind(engine)
    host, log = tmp_path / "host", tmp_path / "log"
    host.mkdir()
    with planted_canaries(host) as canaries, audited_runs(log, Tier.DOCKER) as runs:
        wrong = anyio.run(partial(_attack, docker_sandbox, share, canaries, runs, engine))
        assert len(runs.ended) == len(share)
    assert not wrong, "\n".join(f"{name}: {sign}" for name, sign in wrong)
    assert _left_behind(engine) == before
    engine.close()


def test_there_are_enough_of_them() -> None:
    shared: list[Any] = [payload for kind in CLASSES for payload in payloads_of(kind)]
    assert len([*shared, *payloads_of("own", OWN)]) >= 200
