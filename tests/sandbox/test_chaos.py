"""Calls while workers, containers, connections and hosts are killed: each ends, nothing is left."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import docker
import docker.errors

from agentkit.errors import SandboxError
from agentkit.sandbox import Execution, ExitReason, Limits, Sandbox, Tier
from agentkit.sandbox.docker.reaping import LABEL, reap

if TYPE_CHECKING:
    from collections.abc import Callable

ALL = bool(os.environ.get("AGENTKIT_TEST_ALL"))
CALLS, SESSIONS, HOSTS = (1000, 4, 10) if ALL else (40, 2, 1)
LIMITS = Limits(timeout_s=1.0, memory_mib=128)
GRACE_S = 1.0
ROOT = Path(__file__).parents[2]
CODES: tuple[tuple[str, frozenset[ExitReason]], ...] = (
    ("{token}", frozenset({ExitReason.OK})),
    ("print('x' * 5000); {token}", frozenset({ExitReason.OK})),
    ("import time; time.sleep(0.05); {token}", frozenset({ExitReason.OK})),
    ("sum(i * i for i in range(200_000)) * 0 + {token}", frozenset({ExitReason.OK})),
    ("open('f', 'w').write('x' * 100_000); {token}", frozenset({ExitReason.OK})),
    ("1 / 0", frozenset({ExitReason.ERROR})),
    ("import os; os._exit(3)", frozenset({ExitReason.LOST})),
    ("while True: pass", frozenset({ExitReason.TIMEOUT})),
)
WEIGHTS = (8, 4, 4, 4, 4, 2, 1, 1)


@dataclass
class Seen:
    """What came of the calls."""

    counts: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    sessions: list[Any] = field(default_factory=list)
    running: int = 0

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def take(self, execution: Execution, token: int, wanted: frozenset[ExitReason]) -> None:
        reason = execution.exit_reason
        self.count(str(reason))
        if reason not in wanted | {ExitReason.LOST, ExitReason.TIMEOUT}:
            self.wrong.append(f"{token}: {reason}: {execution.error}")
        if reason is ExitReason.OK and execution.value != token:
            self.wrong.append(f"{token}: answered {execution.value!r}")
        if execution.usage.wall_s > LIMITS.timeout_s + GRACE_S:
            self.wrong.append(f"{token}: took {execution.usage.wall_s}")


async def _call(sandbox: Sandbox, number: int, calls: int, seen: Seen) -> None:
    chance = random.Random(number)  # noqa: S311  a repeatable choice
    async with sandbox.session(LIMITS) as session:
        seen.sessions.append(session)
        for index in range(calls):
            token = number * 1_000_000 + index
            code, wanted = chance.choices(CODES, WEIGHTS)[0]
            try:
                execution = await session.run(code.replace("{token}", str(token)))
            except SandboxError:
                seen.count("refused")  # typed too: the engine was hit while it started a container
            else:
                seen.take(execution, token, wanted)
    seen.running -= 1


def _kill_process(worker: Any) -> None:
    os.kill(worker._process.pid, signal.SIGKILL)


def _kill_container(worker: Any) -> None:
    worker._api.kill(worker.container_id)


def _cut_connection(worker: Any) -> None:
    worker._socket.shutdown(socket.SHUT_RDWR)


async def _break_things(tier: Tier, seen: Seen) -> None:
    chance = random.Random(99)  # noqa: S311  as above
    ways: dict[Tier, list[Callable[[Any], None]]] = {
        Tier.WASM: [_kill_process],
        Tier.DOCKER: [_kill_container, _cut_connection],
    }
    while seen.running:
        await anyio.sleep(chance.uniform(0.05, 0.6))
        worker = getattr(chance.choice(seen.sessions or [None]), "_worker", None)
        # It may be dead already, or between two lives: then there is nothing to break.
        with suppress(OSError, AttributeError, ProcessLookupError, docker.errors.DockerException):
            await anyio.to_thread.run_sync(chance.choice(ways[tier]), worker)
            seen.count("broken")


def test_every_call_ends_whatever_is_killed(sandbox: Sandbox) -> None:
    async def main(seen: Seen) -> None:
        async with anyio.create_task_group() as group:
            for number in range(1, SESSIONS + 1):
                group.start_soon(partial(_call, sandbox, number, CALLS // SESSIONS, seen))
            group.start_soon(_break_things, sandbox.tier, seen)

    seen = Seen(running=SESSIONS)
    anyio.run(main, seen)
    assert not seen.wrong, "\n".join(seen.wrong)
    assert sum(seen.counts.values()) - seen.counts.get("broken", 0) == CALLS
    assert seen.counts["ok"] > CALLS // 4, seen.counts
    assert seen.counts.get("broken", 0) > 0, "nothing was killed"
    assert _left(sandbox.tier, os.getpid()) == []


HOST = """
import anyio, sys
from agentkit.sandbox import Limits, open_sandbox
async def calls(sandbox):
    async with sandbox.session(Limits(timeout_s=1.0, memory_mib=128)) as session:
        for index in range(10_000):
            assert (await session.run(f'import time; time.sleep(0.02); {index}')).value == index
            print(index, flush=True)
async def main():
    sandbox = open_sandbox(sys.argv[1])
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(calls, sandbox)
anyio.run(main)
"""


def test_killed_hosts_leave_nothing(sandbox: Sandbox) -> None:
    chance = random.Random(5)  # noqa: S311  as above
    for _ in range(HOSTS):
        with subprocess.Popen(
            [sys.executable, "-c", HOST, sandbox.tier.value],
            cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": "."},
        ) as host:  # fmt: skip
            assert host.stdout is not None
            for _ in range(chance.randrange(1, 20)):
                assert host.stdout.readline(), "the host ended by itself"
            assert _left(sandbox.tier, host.pid), "its workers would be seen"
            host.kill()
            host.wait()
        for _ in range(100):
            if not _left(sandbox.tier, host.pid):
                break
            time.sleep(0.1)
        assert _left(sandbox.tier, host.pid) == []


def _left(tier: Tier, owner: int) -> list[str]:
    """Return the containers that a process owns, or the workers that it started or left."""
    if tier is Tier.WASM:
        return [str(pid) for pid in _workers(owner)]
    engine = docker.from_env()
    reap(engine)
    found = engine.api.containers(all=True, filters={"label": LABEL})
    engine.close()
    return [
        str(one["Id"])
        for one in found
        if one["Labels"].get("agentkit.sandbox.owner", "").split("/")[1:2] == [str(owner)]
    ]


def _workers(owner: int) -> list[int]:
    """Return the wasm workers that are children of ``owner``, or were before it was killed."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError, IndexError, ValueError):
            pid = int(folder.name)
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            command = (folder / "cmdline").read_bytes()
            orphan = parent == 1 and not Path(f"/proc/{owner}").exists()
            if b"sandbox.wasm.worker" in command and state not in "ZX" and (
                parent == owner or orphan
            ):  # fmt: skip
                found.append(pid)
    return found
