"""Leases: bounded, in order, refused in words, and no worker passed on before it is clean."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from agentkit.errors import SandboxBusy, SandboxError
from agentkit.sandbox import Execution, ExitReason, ImportAllowlist, Limits, SandboxPool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentkit.sandbox import Sandbox

WORD = "1 + 1"


def _with_pool(
    sandbox: Sandbox, work: Callable[[SandboxPool], Awaitable[Any]], **options: Any
) -> Any:
    async def main() -> Any:
        async with SandboxPool(sandbox, **{"size": 1, **options}) as pool:
            return await work(pool)

    return anyio.run(main)


def _process_id(session: Any) -> int:
    return int(session._worker._process.pid)


def _is_gone(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def _until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not holds():  # noqa: ASYNC110  what is waited for happens in other processes too
            await anyio.sleep(0.01)


def test_a_worker_goes_from_lease_to_lease_and_takes_nothing_along(sandbox: Sandbox) -> None:
    async def work(pool: SandboxPool) -> tuple[Execution, Execution]:
        async with pool.lease() as session:
            await session.run("x = 1; open('left.txt', 'w').write('x')")
        async with pool.lease() as session:
            return await session.run("x"), await session.run("open('left.txt')")

    variable, file = _with_pool(sandbox, work)
    assert variable.error.startswith("NameError")
    assert file.error.startswith("FileNotFoundError")


def test_a_lease_is_served_by_the_same_process_as_the_last(wasm: Sandbox) -> None:
    async def work(pool: SandboxPool) -> list[int]:
        seen = []
        for _ in range(3):
            async with pool.lease() as session:
                await session.run(WORD)
                seen.append(_process_id(session))
        assert pool.state.recycled == 0
        return seen

    assert len(set(_with_pool(wasm, work))) == 1


def test_callers_are_served_in_the_order_they_came(wasm: Sandbox) -> None:
    async def work(pool: SandboxPool) -> list[int]:
        served: list[int] = []

        async def caller(number: int) -> None:
            async with pool.lease() as session:
                served.append(number)
                await session.run(WORD)

        async with anyio.create_task_group() as group, pool.lease():
            for number in range(6):
                group.start_soon(caller, number)
                await _until(lambda: pool.state.waiting == number + 1)  # noqa: B023  awaited at once
        return served

    assert _with_pool(wasm, work) == list(range(6))


def test_a_full_queue_and_a_long_wait_are_refused_in_words(wasm: Sandbox) -> None:
    async def work(pool: SandboxPool) -> list[str]:
        refused: list[str] = []

        async def caller() -> None:
            try:
                async with pool.lease():
                    pass
            except SandboxBusy as busy:
                refused.append(busy.reason)

        async with pool.lease(), anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(caller)
        return refused

    assert _with_pool(wasm, work, queue=2, wait_s=0.2) == ["queue", "wait", "wait"]


def test_a_cancelled_caller_leaves_the_queue_and_loses_nothing(wasm: Sandbox) -> None:
    async def work(pool: SandboxPool) -> int:
        async with pool.lease():
            with anyio.move_on_after(0.1):
                async with pool.lease():
                    pass
            assert pool.state.waiting == 0
        async with pool.lease() as session:
            return (await session.run(WORD)).value

    assert _with_pool(wasm, work) == 2


def test_more_agents_than_workers_all_get_their_own_state(wasm: Sandbox) -> None:
    async def work(pool: SandboxPool) -> list[object]:
        values: list[object] = []

        async def agent(number: int) -> None:
            async with pool.lease() as session:
                await session.run(f"mine = {number}")
                await anyio.lowlevel.checkpoint()
                values.append((await session.run("mine")).value)

        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(agent, number)
        assert pool.state.out <= 2
        return values

    assert sorted(_with_pool(wasm, work, size=2)) == list(range(8))


@pytest.mark.parametrize("why", ["uses", "violation", "killed", "dead while idle"])
def test_a_worker_is_replaced(why: str, wasm: Sandbox) -> None:
    async def work(pool: SandboxPool) -> tuple[int, int]:
        async with pool.lease(imports=ImportAllowlist(frozenset({"math"}))) as session:
            await session.run(WORD)
            first = _process_id(session)
            if why == "uses":
                await session.run(WORD)
            elif why == "violation":
                hit = await session.run("name = 'os'; __import__(name)")
                assert hit.exit_reason is ExitReason.VIOLATION
            elif why == "killed":
                os.kill(first, signal.SIGKILL)
                await anyio.sleep(0.1)
        if why == "dead while idle":
            await _until(lambda: pool.state.idle == 1)
            os.kill(first, signal.SIGKILL)
            await anyio.sleep(0.3)
        async with pool.lease() as session:
            assert (await session.run(WORD)).value == 2
            return first, _process_id(session)

    first, second = _with_pool(wasm, work, uses=2 if why == "uses" else 1000)
    assert first != second
    assert _is_gone(first)
    assert _is_gone(second)


def test_an_idle_worker_that_does_not_answer_is_found_and_replaced(wasm: Sandbox) -> None:
    async def work(pool: SandboxPool) -> None:
        async with pool.lease() as session:
            await session.run(WORD)
            pid = _process_id(session)
        await _until(lambda: pool.state.idle == 1)
        os.kill(pid, signal.SIGSTOP)
        await _until(lambda: pool.state.recycled == 1)
        await _until(lambda: pool.state.idle == 1)
        assert _is_gone(pid)

    _with_pool(wasm, work, check_s=0.2)


def test_refills_come_while_nobody_waits(wasm: Sandbox) -> None:
    async def work(pool: SandboxPool) -> None:
        await _until(lambda: pool.state.idle == 2)
        async with pool.lease() as session:
            await session.run("while True: pass", timeout_s=0.2)
        await _until(lambda: pool.state.idle == 2)

    _with_pool(wasm, work, size=2)


def test_a_closed_pool_leaves_no_process_and_says_so(wasm: Sandbox) -> None:
    async def main() -> list[int]:
        pool = SandboxPool(wasm, 2)
        async with pool, pool.lease() as one:
            pids = [_process_id(one)]
            await _until(lambda: pool.state.idle == 1)
            pids.append(pool._idle[0].worker._process.pid)  # type: ignore[attr-defined]  # the worker's own
        with pytest.raises(SandboxError, match="pool is closed"):
            async with pool.lease():
                pass
        with pytest.raises(SandboxError, match="session is closed"):
            await one.run(WORD)
        return pids

    pids = anyio.run(main)
    assert all(_is_gone(pid) for pid in pids)


def test_a_pool_for_nobody_is_refused(wasm: Sandbox) -> None:
    with pytest.raises(SandboxError, match="serves nobody"):
        SandboxPool(wasm, 0)
    with pytest.raises(SandboxError, match="too little"):
        _with_pool(wasm, partial(anyio.sleep, 0), limits=Limits(memory_mib=1))  # type: ignore[arg-type]  # never called
