"""Run untrusted code behind a wall: one interface, two tiers, and never a weaker one by itself.

``open_sandbox(Tier.WASM)`` and ``open_sandbox(Tier.DOCKER)`` give a ``Sandbox``; a tier that
cannot run raises, it is not replaced by another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentkit.errors import SandboxError
from agentkit.sandbox.interface import (
    Artifact,
    ArtifactKind,
    Egress,
    EgressEvent,
    EgressHost,
    EgressObserver,
    Execution,
    ExitReason,
    HostFunction,
    ImportAllowlist,
    Limits,
    OutputObserver,
    ResourceUsage,
    Sandbox,
    SandboxSession,
    Tier,
)
from agentkit.sandbox.pool import PoolState, SandboxPool

if TYPE_CHECKING:
    from agentkit.sandbox.docker import DockerSandbox
    from agentkit.sandbox.wasm import WasmSandbox

_CLASSES = {Tier.WASM: "WasmSandbox", Tier.DOCKER: "DockerSandbox"}

__all__ = [
    "Artifact",
    "ArtifactKind",
    "DockerSandbox",
    "Egress",
    "EgressEvent",
    "EgressHost",
    "EgressObserver",
    "Execution",
    "ExitReason",
    "HostFunction",
    "ImportAllowlist",
    "Limits",
    "OutputObserver",
    "PoolState",
    "ResourceUsage",
    "Sandbox",
    "SandboxPool",
    "SandboxSession",
    "Tier",
    "WasmSandbox",
    "open_sandbox",
]


def open_sandbox(
    tier: Tier | str,
    **options: Any,  # noqa: ANN401  each tier has its own
) -> Sandbox:
    """Return the sandbox of ``tier``; ``options`` go to ``WasmSandbox`` or ``DockerSandbox``.

    Nothing is started yet: ``check()`` tells whether the tier can run here. Raises ``SandboxError``
    where the tier's packages are not installed.
    """
    kind = Tier(tier)
    try:
        sandbox: Sandbox = __getattr__(_CLASSES[kind])(**options)
    except ModuleNotFoundError as error:
        raise SandboxError(
            f"the {kind} tier needs the package {error.name!r}",
            cure=f"pip install 'agentkit-gated[{kind}]'",
        ) from error
    return sandbox


def __getattr__(name: str) -> type:
    if name == "WasmSandbox":
        from agentkit.sandbox.wasm import WasmSandbox  # noqa: PLC0415  wasmtime stays optional

        return WasmSandbox
    if name == "DockerSandbox":
        from agentkit.sandbox.docker import DockerSandbox  # noqa: PLC0415  docker stays optional

        return DockerSandbox
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
