"""Both tiers for real: a wasm guest built on this machine, a Docker engine that must answer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agentkit.sandbox import Execution, Limits, Sandbox, Tier, open_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

BOTH = [
    pytest.param(Tier.WASM, id="wasm"),
    pytest.param(Tier.DOCKER, id="docker", marks=pytest.mark.docker),
]
SHORT = Limits(timeout_s=1.0)


@pytest.fixture(params=BOTH)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    if request.param is Tier.DOCKER:
        request.getfixturevalue("docker_image")
    return open_sandbox(request.param)


@pytest.fixture
def wasm() -> Sandbox:
    return open_sandbox(Tier.WASM)


@pytest.fixture
def docker_sandbox(docker_image: str) -> Sandbox:
    return open_sandbox(Tier.DOCKER)


@pytest.fixture
def run_cells() -> Callable[..., list[Execution]]:
    """Run cells one after the other in one session; ``None`` is a reset."""

    async def cells(
        sandbox: Sandbox,
        *codes: str | None,
        limits: Limits = Limits(),
        **options: Any,
    ) -> list[Execution]:
        executions = []
        async with sandbox.session(limits) as session:
            for code in codes:
                if code is None:
                    await session.reset()
                else:
                    executions.append(await session.run(code, **options))
        return executions

    def run(
        sandbox: Sandbox,
        *codes: str | None,
        **options: Any,
    ) -> list[Execution]:
        return anyio.run(partial(cells, sandbox, *codes, **options))

    return run
