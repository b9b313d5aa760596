"""One interface to run untrusted code, whichever wall stands around it.

``Sandbox.session`` gives a session that keeps its Python state between runs; ``run`` executes one
piece of code and always returns an ``Execution``: whatever the code does, it ends in one of the
closed set of exit reasons, with the output it produced until then. Only the sandbox's own
machinery raises (``SandboxError``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

    from agentkit.messages import JsonValue

__all__ = [
    "Artifact",
    "Execution",
    "ExitReason",
    "Limits",
    "ResourceUsage",
    "Sandbox",
    "SandboxSession",
    "Tier",
]


class Tier(StrEnum):
    """The walls there are, from weaker to stronger in what they let code reach."""

    WASM = "wasm"
    DOCKER = "docker"


class ExitReason(StrEnum):
    """How a run ended.

    ``ok``: the code finished. ``error``: it raised. ``timeout``: wall clock or CPU ran out.
    ``memory``: it wanted more memory than allowed. ``output``: it wrote more than allowed.
    ``violation``: it tried what the walls forbid and was stopped. ``lost``: the worker or
    container died for another reason; state is gone.
    """

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT = "output"
    VIOLATION = "violation"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use.

    ``timeout_s``: wall clock. ``output_bytes``: stdout and stderr together. ``file_bytes``: the
    sum of all files given, and the sum of all artifacts taken. ``processes``: docker tier only.
    """

    timeout_s: float = 10.0
    memory_mib: int = 256
    output_bytes: int = 64 * 1024
    file_bytes: int = 16 * 1024 * 1024
    processes: int = 64


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that the code left for its caller. ``media_type`` by its name's ending."""

    name: str
    data: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class ResourceUsage:
    """What a run used; 0 where the tier cannot tell."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_memory_bytes: int = 0
    output_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Execution:
    """The result of one run.

    ``value``: the last expression's value where it is JSON, else None. ``error``: the guest's own
    last traceback line, or what limit was hit, in one sentence; empty when ``ok``.
    ``state_lost``: the session was restarted, earlier variables are gone.
    """

    exit_reason: ExitReason
    stdout: str
    stderr: str
    value: JsonValue = None
    error: str = ""
    artifacts: tuple[Artifact, ...] = ()
    usage: ResourceUsage = field(default_factory=ResourceUsage)
    state_lost: bool = False

    @property
    def ok(self) -> bool:
        """Whether the code finished by itself and raised nothing."""
        return self.exit_reason is ExitReason.OK


class SandboxSession(Protocol):
    """A place where code runs and state stays until ``reset`` or the end of the session."""

    async def run(
        self,
        code: str,
        *,
        files: Mapping[str, bytes] = MappingProxyType({}),
        timeout_s: float | None = None,
    ) -> Execution:
        """Run ``code``. ``files``: name → content, readable by the code in its working directory.
        ``timeout_s``: this run's wall clock, at most the session's limit.
        """

    async def reset(self) -> None:
        """Forget all state; the next run starts in a fresh interpreter."""


@runtime_checkable
class Sandbox(Protocol):
    """A tier that is ready to open sessions."""

    @property
    def tier(self) -> Tier:
        """Which wall this is."""

    async def check(self) -> str:
        """Run a line of code through the whole path; return one phrase that describes the tier
        (versions, isolation). Raises ``SandboxError`` with a cure where the tier cannot run.
        """

    def session(self, limits: Limits = Limits()) -> AbstractAsyncContextManager[SandboxSession]:
        """Open a session; leaving the context ends every process and container it started."""
