"""Every hostile payload ends with an allowed reason and an audit event, touches no canary and
leaves nothing.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agentkit.sandbox import Tier
from tests.sandbox.audited import audited_runs
from tests.sandbox.payload_set import CLASSES, LIMITS, payloads_of, planted_canaries

if TYPE_CHECKING:
    from agentkit.sandbox import Sandbox
    from tests.sandbox.audited import AuditedRuns
    from tests.sandbox.payload_set import Canaries, Payload

EVERY = 1 if os.environ.get("AGENTKIT_TEST_ALL") else 3  # which share of the slow class runs in CI
SLOW = "resource_exhaustion"


def _process_id(session: Any) -> int:
    return int(session._worker._process.pid)


def _children(pid: int) -> str:
    if sys.platform != "linux":
        return ""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return "".join((task / "children").read_text(encoding="ascii") for task in tasks)


def _is_gone(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def _attack(
    sandbox: Sandbox, payloads: list[Payload], canaries: Canaries, runs: AuditedRuns
) -> list[tuple[str, object]]:
    """Run all payloads in one session, each followed by a reset and innocent code; return what
    went wrong.
    """
    wrong: list[tuple[str, object]] = []
    workers = set()
    async with sandbox.session(LIMITS) as session:
        for payload in payloads:
            hit = await runs.run(session, payload.name, canaries.planted(payload))
            signs = [*canaries.touched(hit), *payload.faults(hit, Tier.WASM)]
            worker = _process_id(session)
            workers.add(worker)
            if _children(worker):
                signs.append("a process was started")
            await session.reset()
            after = await session.run("print('fine'); __import__('sys').version_info[0]")
            if (after.value, after.stdout) != (3, "fine\n"):
                signs.append(f"the next run: {after}")
            wrong += [(payload.name, sign) for sign in signs]
    wrong += [("after all", f"process {pid} is left") for pid in workers if not _is_gone(pid)]
    return wrong


@pytest.mark.parametrize("kind", CLASSES)
def test_wasm_holds_every_payload(kind: str, wasm: Sandbox, tmp_path: Path) -> None:
    payloads = payloads_of(kind)[:: EVERY if kind == SLOW else 1]
    host, log = tmp_path / "host", tmp_path / "log"
    host.mkdir()
    with planted_canaries(host) as canaries, audited_runs(log, Tier.WASM) as runs:
        wrong = anyio.run(_attack, wasm, payloads, canaries, runs)
        assert len(runs.ended) == len(payloads)
    assert not wrong, "\n".join(f"{name}: {sign}" for name, sign in wrong)


def test_there_are_enough_payloads_and_each_has_its_own_name() -> None:
    names = [payload.name for kind in CLASSES for payload in payloads_of(kind)]
    assert len(names) >= 150
    assert len(set(names)) == len(names)
