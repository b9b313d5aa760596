"""A file of cases for ``agentkit policy test``: calls, and what the policies should say of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from agentkit.spec.load import load_section
from agentkit.spec.nodes import Node, find
from agentkit.spec.policies import Names, PolicyId  # noqa: TC001 - pydantic evaluates them
from agentkit.spec.problems import quoted
from agentkit.spec.secret import Environment
from agentkit.spec.section import Fault, FilePath, Line, Section, faults

if TYPE_CHECKING:
    import os

__all__ = ["CaseSpec", "CasesFile", "LoadedCases", "load_cases"]


def _moment(text: str) -> str:
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        given = None
    if given is None or given.tzinfo is not None or "T" not in text:
        fault = Fault(
            f"{quoted(text)} is no local time", 'write "2026-05-01T22:30", in policies.timezone'
        )
        raise faults(fault)
    return text


class CaseSpec(Section):
    """One call and the decision expected of the policies."""

    name: Line = Field(description="What the case shows.")
    tool: Line = Field(description="The tool that is called.")
    arguments: dict[Line, Any] = Field(default={}, description="The call's arguments.")
    untrusted: Names | None = Field(
        default=None, description="Parameters whose values come from untrusted content."
    )
    sources: dict[Line, Names] = Field(
        default={}, description="Where values come from, by parameter: user, tool:NAME ..."
    )
    user: Line = Field(default="user", description="Who speaks.")
    at: Annotated[str, AfterValidator(_moment)] = Field(
        default="2026-01-07T12:00", description="Local time; by default a Wednesday at noon."
    )
    suspect: bool = Field(default=False, description="A guard saw signs of injection.")
    expect: Literal["allow", "ask", "deny"] = Field(description="What the policies should say.")
    policies: Annotated[tuple[PolicyId, ...], Field(strict=False)] | None = Field(
        default=None, description="Ids of the policies that should decide; left out, any."
    )


class CasesFile(Section):
    """A whole file of cases."""

    spec: FilePath = Field(
        default="agent.yaml", description="The agent.yaml, relative to the folder of this file."
    )
    cases: Annotated[tuple[CaseSpec, ...], Field(strict=False, min_length=1)] = Field(
        description="The cases, in order."
    )


@dataclass(frozen=True, slots=True)
class LoadedCases:
    """A checked file of cases. ``spec``: path of the agent.yaml it is about."""

    cases: tuple[CaseSpec, ...]
    spec: Path
    path: Path
    _root: Node = field(repr=False, compare=False)

    def place(self, index: int, *keys: str | int) -> str:
        """Return ``file:line:column`` of a case, or of a key in it."""
        mark, _ = find(self._root, ("cases", index, *keys))
        return f"{self.path}:{mark.line}:{mark.column}"


def load_cases(path: str | os.PathLike[str]) -> LoadedCases:
    """Return the cases in a file. Raises SpecError as ``load_spec`` does."""
    found, root, _ = load_section(path, CasesFile, Environment({}))
    place = Path(path)
    return LoadedCases(found.cases, place.parent / found.spec, place, root)
