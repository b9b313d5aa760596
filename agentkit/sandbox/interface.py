"""One interface to run untrusted code, whichever wall stands around it.

``Sandbox.session`` gives a session that keeps its Python state between runs; ``run`` executes one
piece of code and always returns an ``Execution``: whatever the code does, it ends in one of the
closed set of exit reasons, with the output it produced until then. Only the sandbox's own
machinery raises (``SandboxError``), and a host function whose failure must stop more than the run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from agentkit.messages import JsonObject, JsonValue

__all__ = [
    "Artifact",
    "ArtifactKind",
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
    "ResourceUsage",
    "Sandbox",
    "SandboxSession",
    "Stream",
    "Tier",
]

Stream: TypeAlias = Literal["stdout", "stderr"]

OutputObserver: TypeAlias = "Callable[[Stream, str], None]"
"""Told of output while the code runs, in order, within the limit. It must not block or raise."""

HostFunction: TypeAlias = "Callable[[JsonObject], Awaitable[JsonValue]]"
"""A function of the host that code in the sandbox may call, by keyword, and waits for.

Where it has an attribute ``parameters`` (a tuple of names), arguments may be given by position too.
``ToolError`` comes back in the code as ``HostFunctionError`` with its message, a defect as one
without; any other ``AgentkitError`` ends the run and is raised to the caller of ``run``.
"""


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

    ``timeout_s``: wall clock, host functions included. ``output_bytes``: stdout and stderr
    together. ``file_bytes``: the sum of all files given, and the sum of all artifacts taken.
    ``processes``: docker tier only. ``calls``: of host functions, in one run. ``call_bytes``: of
    one call's arguments, and of its answer, as JSON.
    """

    timeout_s: float = 10.0
    memory_mib: int = 256
    output_bytes: int = 64 * 1024
    file_bytes: int = 16 * 1024 * 1024
    processes: int = 64
    calls: int = 256
    call_bytes: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ImportAllowlist:
    """What code may import: ``"json"`` allows it and all below it, ``"os.path"`` that alone.

    Checked on the code's syntax before it runs and again at each import that it makes; a violation
    is the exit reason ``violation``. Imports that a library makes for itself are its own. This is
    a policy over honest and careless code; the boundary is the tier's wall.
    """

    modules: frozenset[str]

    def permits(self, module: str) -> bool:
        """Whether the absolute name ``module`` may be imported."""
        parts = module.split(".")
        return any(".".join(parts[:count]) in self.modules for count in range(1, len(parts) + 1))


@dataclass(frozen=True, slots=True)
class EgressHost:
    """One destination. ``methods`` hold for plain HTTP; ``CONNECT`` allows TLS to it."""

    host: str
    port: int = 443
    methods: frozenset[str] = frozenset({"CONNECT"})


@dataclass(frozen=True, slots=True)
class EgressEvent:
    """What happened to one request: ``refused``, or ``opened`` and then ``closed``.

    ``address``: what the host's name resolved to. ``reason``: why it was refused or cut.
    """

    phase: Literal["refused", "opened", "closed"]
    host: str
    port: int
    method: str
    address: str = ""
    reason: str = ""
    sent_bytes: int = 0
    received_bytes: int = 0


EgressObserver: TypeAlias = "Callable[[EgressEvent], Awaitable[None]]"
"""Told of each request, to audit it. Where it raises, the request is refused."""


@dataclass(frozen=True, slots=True)
class Egress:
    """The network that a session gets; without one it has none. Docker tier only.

    ``sent_bytes``, ``received_bytes``: the most of one session. ``private_networks``: what may be
    reached although it is not public, such as ``10.1.2.0/24``. ``when_tainted``: whether a session
    keeps its egress after ``taint()``. ``observe``: told of each request; without its return none
    is connected.
    """

    hosts: tuple[EgressHost, ...]
    sent_bytes: int = 1024 * 1024
    received_bytes: int = 64 * 1024 * 1024
    private_networks: tuple[str, ...] = ()
    when_tainted: bool = False
    observe: EgressObserver | None = None


class ArtifactKind(StrEnum):
    """What an artifact can be shown as. ``table``: CSV, or JSON ``{"columns", "rows"}``."""

    TEXT = "text"
    JSON = "json"
    TABLE = "table"
    HTML = "html"
    PNG = "png"
    SVG = "svg"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Artifact:
    """What the code left for its caller: a file, a figure, or its last value where that is no JSON
    or a table. ``media_type`` by the name's ending; ``kind`` is ``FILE`` where the content is not
    what the name says.
    """

    name: str
    data: bytes
    media_type: str
    kind: ArtifactKind = ArtifactKind.FILE


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
        output: OutputObserver | None = None,
        functions: Mapping[str, HostFunction] = MappingProxyType({}),
        seed: int | None = None,
        now: float | None = None,
    ) -> Execution:
        """Run ``code``. ``files``: name → content, readable by the code in its working directory.
        ``timeout_s``: this run's wall clock, at most the session's limit. ``output``: told of
        output as it comes. ``functions``: name → what the code may call by that name in this run.
        ``seed``: of this run's random numbers. ``now``: what its clock shows at its start, in
        seconds since 1970; ``SandboxError`` where the tier cannot set it.

        A caller that is cancelled ends the code; the next run starts afresh and says so.
        """

    async def reset(self) -> None:
        """Forget all state; the next run starts in a fresh interpreter."""

    def taint(self) -> None:
        """Say that untrusted content reaches this session: it loses its egress until its end,
        where ``Egress.when_tainted`` does not keep it. Call it before that content is given.
        """


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

    def session(
        self,
        limits: Limits = Limits(),
        *,
        fresh: bool = False,
        imports: ImportAllowlist | None = None,
        egress: Egress | None = None,
    ) -> AbstractAsyncContextManager[SandboxSession]:
        """Open a session; leaving the context ends every process and container it started.

        ``fresh``: each run gets a new interpreter, nothing is kept. ``imports``: None allows all.
        ``egress``: None is no network; ``SandboxError`` where the tier has none to give.
        """
