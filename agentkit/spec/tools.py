"""The ``tools`` and ``sandbox`` sections: what may be called, and the walls around code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WrapValidator

from agentkit.errors import SandboxError
from agentkit.sandbox.interface import Limits, Tier
from agentkit.sandbox.packages import PackageLock
from agentkit.spec.budgets import ToolMoneySpec  # noqa: TC001 - pydantic evaluates it
from agentkit.spec.constraint import ArgumentSchema  # noqa: TC001 - pydantic evaluates it
from agentkit.spec.egress import EgressSpec  # noqa: TC001 - pydantic evaluates it
from agentkit.spec.policies import Names  # noqa: TC001 - pydantic evaluates it
from agentkit.spec.problems import quoted
from agentkit.spec.section import Fault, Line, Matches, Section, checked_together
from agentkit.spec.suggest import closest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["BUILTIN_TOOLS", "SandboxSpec", "ToolSpec", "Tools"]

BUILTIN_TOOLS = ("python",)
"""Names of the tools that agentkit brings along."""

_MIB = 1024 * 1024
_PACKAGE_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"


PackageName = Annotated[
    str,
    Matches(
        _PACKAGE_NAME,
        "a package's name",
        "write the name alone; the allowlist says the version",
        "numpy",
    ),
]


class SandboxSpec(Section):
    """Where code written by the model runs. There is no fall-back to a weaker tier."""

    tier: Annotated[Tier, Field(strict=False)] = Field(
        default=Tier.WASM,
        description="The weakest wall allowed: wasm (nothing to install) or docker (real"
        " packages; needs a Docker engine).",
    )
    timeout_s: Annotated[float, Field(gt=0.0, le=3600.0)] = Field(
        default=10.0, description="Wall-clock seconds of one run."
    )
    memory_mib: Annotated[int, Field(ge=32, le=1_048_576)] = Field(
        default=256, description="Memory of one run, in MiB."
    )
    output_kib: Annotated[int, Field(ge=1, le=16_384)] = Field(
        default=64, description="Output of one run, stdout and stderr together, in KiB."
    )
    files_mib: Annotated[int, Field(ge=1, le=4096)] = Field(
        default=16, description="Sum of the files given to one run, and of those it leaves, in MiB."
    )

    packages: list[PackageName] = Field(
        default=[],
        description="What code may import besides the standard library, of the allowlist that"
        " 'agentkit sandbox packages list' shows; in the wasm tier those of pure Python.",
        examples=[["python-dateutil", "tabulate"]],
    )
    runtime: Line | None = Field(
        default=None, description="docker: the engine's runtime, such as runsc."
    )
    egress: EgressSpec | None = Field(
        default=None, description="docker: the servers that code may reach; left out for none."
    )

    @classmethod
    def cross_check(cls, given: Mapping[str, object]) -> Iterable[Fault]:
        """Refuse in the wasm tier what only the docker tier has, compiled packages included."""
        if given.get("tier", Tier.WASM) == Tier.DOCKER:
            return
        packages = given.get("packages")
        for place, name in enumerate(packages if isinstance(packages, list) else ()):
            if isinstance(name, str) and re.fullmatch(_PACKAGE_NAME, name):
                yield from _wasm_package_faults(name, place)
        for key in ("runtime", "egress"):
            if given.get(key):
                yield Fault(
                    f"{key} needs the docker tier", "write tier: docker", (key,), on_key=True
                )

    @property
    def limits(self) -> Limits:
        """The same, as a sandbox takes it."""
        return Limits(
            timeout_s=self.timeout_s,
            memory_mib=self.memory_mib,
            output_bytes=self.output_kib * 1024,
            file_bytes=self.files_mib * _MIB,
        )


def _wasm_package_faults(name: str, place: int) -> Iterator[Fault]:
    try:
        PackageLock.load().select_pure([name])
    except SandboxError as refused:
        yield Fault(
            refused.message,
            "write a package that 'agentkit sandbox packages list' marks as pure, or tier: docker",
            ("packages", place),
        )


FunctionPath = Annotated[
    str,
    Matches(
        r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*",
        "a function as module:name",
        "write the module, a colon and the function's name: text_tools:slugify",
        "text_tools:slugify",
    ),
]


class ToolSpec(Section):
    """One allowed tool and what narrows it."""

    function: FunctionPath | None = Field(
        default=None,
        description="For a tool of your own: module:name, importable from the folder of"
        " agent.yaml. Left out for a built-in tool.",
    )
    approval: Literal["auto", "ask"] = Field(
        default="auto",
        description="ask: a person is asked before each call. auto: where a write or external"
        " effect would land on a value that does not come from the user.",
    )
    arguments: ArgumentSchema | None = Field(
        default=None,
        description="JSON Schema that a call's arguments must satisfy besides the tool's own."
        " Keywords that would constrain nothing are refused.",
        examples=[{"properties": {"code": {"maxLength": 4000}}}],
    )
    two_persons: bool = Field(
        default=False,
        description="Every call is asked, and two different persons must approve it, each with a"
        " key listed at approvals.approvers.",
    )
    programs: bool = Field(
        default=False,
        description="For python alone: its code may call the other allowed tools as functions;"
        " each call passes the gate.",
    )
    calls_per_minute: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None,
        description="At most this many calls in any 60 seconds; left out for no limit.",
    )
    money: ToolMoneySpec | None = Field(
        default=None, description="Where a call says how much money it moves, for budgets."
    )
    destination: Names | None = Field(
        default=None,
        description="Parameters that say whom a call reaches, for budgets; by default the"
        " tool's audience.",
    )


def _default_options(value: object) -> object:
    return {} if value is None else value  # `python:` with nothing after it means all defaults


ToolName: TypeAlias = Annotated[
    str,
    Matches(
        r"[A-Za-z_][A-Za-z0-9_-]{0,63}",
        "a tool name: letters, digits, _ and -, at most 64, not beginning with a digit",
        "rename the tool",
    ),
]
Allowlist: TypeAlias = dict[ToolName, Annotated[ToolSpec, BeforeValidator(_default_options)]]


def _check_names(tools: object, handler: Callable[[object], Allowlist]) -> Allowlist:
    found = tuple(_name_faults(tools)) if isinstance(tools, dict) else ()
    return checked_together(tools, handler, found)


def _name_faults(tools: dict[str, object]) -> Iterator[Fault]:
    for name, tool in tools.items():
        function = tool.get("function") if isinstance(tool, dict) else None
        has_function = function is not None or getattr(tool, "function", None) is not None
        programs = tool.get("programs") if isinstance(tool, dict) else None
        if name != "python" and (programs is True or getattr(tool, "programs", False)):
            yield Fault(
                f"{quoted(name)} runs no programs",
                "programs: belongs to the tool python; remove it here",
                (name, "programs"),
                on_key=True,
            )
        if name in BUILTIN_TOOLS and has_function:
            yield Fault(
                f"{quoted(name)} is a built-in tool and cannot be replaced",
                "give your function another name",
                (name, "function"),
                on_key=True,
            )
        elif name not in BUILTIN_TOOLS and not has_function:
            near = closest(name, BUILTIN_TOOLS)
            yield Fault(
                f"there is no built-in tool {quoted(name)}",
                (f'did you mean "{near}"? ' if near else "")
                + "add function: module:name for a tool of your own;"
                + f" built in: {', '.join(BUILTIN_TOOLS)}",
                (name,),
                on_key=True,
            )


Tools = Annotated[
    Allowlist,
    Field(max_length=128),
    WrapValidator(_check_names),
]
"""The allowlist: tool name → what narrows it."""
