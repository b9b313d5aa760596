from __future__ import annotations

import signal

import pytest
from hypothesis import settings

from agentkit.errors import SandboxError
from agentkit.sandbox.docker import build_image

# No wall clock decides a test: a busy machine is no counterexample.
settings.register_profile("agentkit", deadline=None)
settings.load_profile("agentkit")

# A shell that runs a suite in its background has SIGINT ignored, and so would every command here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def docker_image() -> str:
    """The id of the docker tier's image, built where it is not there yet."""
    try:
        return build_image()
    except SandboxError as error:
        pytest.fail(f"these tests need a Docker engine: {error.render()}")


@pytest.fixture(scope="session")
def built_kernels() -> None:
    """Build the compiled library where the checkout has none, or one of older sources."""
    from agentkit.model.kernels.build import build  # noqa: PLC0415  needs torch, as few tests do
    from agentkit.model.kernels.dispatch import (  # noqa: PLC0415  as above
        LibraryUnusable,
        library,
        open_library,
    )

    try:
        open_library()
    except LibraryUnusable:
        build()
        library.cache_clear()
