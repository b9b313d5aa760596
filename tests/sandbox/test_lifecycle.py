"""Nothing outlives its run, its caller or its session; a loss is said, never raised."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import docker
import pytest

from agentkit.sandbox import Execution, ExitReason, Sandbox, Tier, open_sandbox
from agentkit.sandbox.docker.reaping import LABEL, reap

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


@pytest.fixture
def engine(docker_image: str) -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


def _process_id(session: Any) -> int:
    return int(session._worker._process.pid)


def _is_gone(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def _kill_worker(sandbox: Sandbox, session: Any) -> None:
    if sandbox.tier is Tier.WASM:
        os.kill(_process_id(session), signal.SIGKILL)
    else:
        client = docker.from_env()
        kill = partial(client.api.kill, session._worker.container_id)
        await anyio.to_thread.run_sync(kill)
        client.close()


def test_a_worker_killed_during_a_run_is_lost_and_replaced(sandbox: Sandbox) -> None:
    async def main() -> tuple[list[Execution], float]:
        ended: list[Execution] = []
        async with sandbox.session() as session:
            await session.run("x = 1")

            async def run() -> None:
                ended.append(await session.run("print('until here')\nwhile True: pass"))

            async with anyio.create_task_group() as group:
                group.start_soon(run)
                await anyio.sleep(0.5)
                began = time.monotonic()
                await _kill_worker(sandbox, session)
            took = time.monotonic() - began
            ended.append(await session.run("x"))
            ended.append(await session.run("1 + 1"))
        return ended, took

    (lost, after, fine), took = anyio.run(main)
    assert lost.exit_reason is ExitReason.LOST
    assert lost.stdout == "until here\n"
    assert lost.state_lost
    assert took < 11
    assert after.error.startswith("NameError")
    assert fine.value == 2


def test_a_worker_killed_between_runs_is_replaced_and_said(sandbox: Sandbox) -> None:
    async def main() -> tuple[Execution, Execution]:
        async with sandbox.session() as session:
            await session.run("x = 1")
            await _kill_worker(sandbox, session)
            await anyio.sleep(0.3)
            return await session.run("2"), await session.run("3")

    first, second = anyio.run(main)
    assert first.state_lost
    assert first.exit_reason in {ExitReason.OK, ExitReason.LOST}
    assert second.value == 3
    assert not second.state_lost


def test_a_cancelled_caller_ends_its_run(sandbox: Sandbox) -> None:
    async def main() -> tuple[float, Execution, Any]:
        async with sandbox.session() as session:
            await session.run("x = 1")
            worker: Any = getattr(session, "_worker", None)
            handle = _process_id(session) if sandbox.tier is Tier.WASM else worker.container_id
            began = time.monotonic()
            with anyio.move_on_after(0.3):
                await session.run("while True: pass")
            took = time.monotonic() - began
            return took, await session.run("x"), handle

    took, after, handle = anyio.run(main)
    assert took < 5
    assert after.error.startswith("NameError")
    if sandbox.tier is Tier.WASM:
        assert _is_gone(handle)
    else:
        client = docker.from_env()
        assert client.api.containers(all=True, filters={"id": handle}) == []
        client.close()


def test_wasm_leaves_no_process(wasm: Sandbox) -> None:
    async def main() -> int:
        async with wasm.session() as session:
            pid = _process_id(session)
            assert not _is_gone(pid)
            await session.run("while True: pass", timeout_s=0.3)
        return pid

    assert _is_gone(anyio.run(main))


@pytest.mark.docker
def test_docker_leaves_no_process_after_a_run_and_no_container_after_a_session(
    docker_sandbox: Sandbox, engine: docker.DockerClient
) -> None:
    spawn = "import subprocess\nfor _ in range(5): subprocess.Popen(['setsid', 'sleep', '77'])\n"

    async def main() -> tuple[str, list[list[str]]]:
        async with docker_sandbox.session() as session:
            container = session._worker.container_id  # type: ignore[attr-defined]  # behind the protocol
            left = []
            for code in (spawn, spawn + "while True: pass"):
                await session.run(code, timeout_s=1.0)
                top = await anyio.to_thread.run_sync(engine.api.top, container)
                left.append([row[-1] for row in top["Processes"]])
        return container, left

    container, left = anyio.run(main)
    for processes in left:
        assert 1 <= len(processes) <= 2, processes  # the runner, and its next interpreter
        assert all("agentkit.sandbox.docker.runner" in process for process in processes)
    assert engine.api.containers(all=True, filters={"id": container}) == []


HOST = """
import anyio, sys
from agentkit.sandbox import open_sandbox
async def main():
    async with open_sandbox(sys.argv[1]).session() as session:
        worker = session._worker
        print(getattr(worker, "container_id", None) or worker._process.pid, flush=True)
        await session.run("while True: pass", timeout_s=10)
anyio.run(main)
"""


def test_a_killed_host_leaves_nothing(sandbox: Sandbox) -> None:
    command = [sys.executable, "-c", HOST, sandbox.tier.value]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": "."}
    ) as host:
        assert host.stdout is not None
        handle = host.stdout.readline().strip()
        host.kill()
        host.wait()
    client = docker.from_env() if sandbox.tier is Tier.DOCKER else None
    for _ in range(100):
        if client is None:
            gone = _is_gone(int(handle))
        else:
            gone = not client.api.containers(all=True, filters={"id": handle})
        if gone:
            break
        time.sleep(0.1)
    if client is not None:
        client.close()
    assert gone


@pytest.mark.docker
def test_containers_of_dead_owners_are_reaped_and_those_of_living_ones_are_not(
    engine: docker.DockerClient, docker_image: str
) -> None:
    node = os.uname().nodename
    started = Path("/proc/1/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19]
    owners = {"dead": f"{node}/{2**22 + 1}/5", "recycled": f"{node}/1/5",
              "alive": f"{node}/1/{started}", "elsewhere": "another-machine/7/5"}  # fmt: skip
    made = {
        name: engine.api.create_container(
            docker_image, labels={LABEL: "1", "agentkit.sandbox.owner": owner}
        )["Id"]
        for name, owner in owners.items()
    }
    try:
        reap(engine)
        left = {c["Id"] for c in engine.api.containers(all=True, filters={"label": LABEL})}
        assert {name for name, identifier in made.items() if identifier in left} == {
            "alive",
            "elsewhere",
        }
    finally:
        for name in ("alive", "elsewhere"):
            engine.api.remove_container(made[name], force=True)


def test_the_wasm_worker_has_limits_and_nothing_worth_reading(wasm: Sandbox) -> None:
    async def main() -> tuple[str, bytes, list[str]]:
        async with wasm.session() as session:
            proc = Path(f"/proc/{_process_id(session)}")
            limits = (proc / "limits").read_text(encoding="ascii")
            links = sorted(str(link.readlink()) for link in (proc / "fd").iterdir())
            return limits, (proc / "environ").read_bytes(), links

    if sys.platform == "linux":
        limits, environment, descriptors = anyio.run(main)
        assert environment == b""
        kinds = [link.partition(":")[0].rpartition("/")[2] for link in descriptors]
        # The process's own memory counter, the compiled guest, and the socket to its host.
        assert sorted(kinds) == ["guest.cwasm", "null", "socket", "socket", "statm"]
        for name in ("Max file size", "Max core file size", "Max processes"):
            line = next(line for line in limits.splitlines() if line.startswith(name))
            assert line.removeprefix(name).split()[:2] == ["0", "0"], line


def test_open_sandbox_never_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_sandbox("wasm").tier is Tier.WASM
    assert open_sandbox("docker").tier is Tier.DOCKER
    with pytest.raises(ValueError, match="gvisor"):
        open_sandbox("gvisor")
