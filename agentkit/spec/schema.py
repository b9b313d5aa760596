"""agent.yaml as a whole: one strict, frozen model, the only shape the rest of agentkit meets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from agentkit.spec.approvals import ApprovalsSpec, StateSpec, approval_faults
from agentkit.spec.budgets import BudgetsSpec  # noqa: TC001 - pydantic evaluates it
from agentkit.spec.deployment import DeploymentSpec  # noqa: TC001 - pydantic evaluates it
from agentkit.spec.guards import GuardsSpec
from agentkit.spec.model import ModelSpec  # noqa: TC001 - pydantic evaluates it
from agentkit.spec.policies import PoliciesSpec  # noqa: TC001 - pydantic evaluates it
from agentkit.spec.section import Exactly, Fault, FilePath, Line, Matches, Section, distinct
from agentkit.spec.tools import SandboxSpec, Tools

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["AgentSpec", "AuditSpec", "LimitsSpec", "OutputSpec"]

HostName = Annotated[
    str,
    Matches(
        r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+",
        "a host's name in lower case",
        "write the host alone: docs.example.no",
        "docs.example.no",
    ),
]


class LimitsSpec(Section):
    """What one turn may use; whatever runs out first ends it."""

    steps: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=8, description="Calls of the model."
    )
    tool_calls: Annotated[int, Field(ge=0, le=10_000)] = Field(
        default=16, description="Calls of tools."
    )
    tokens: Annotated[int, Field(ge=1, le=100_000_000)] = Field(
        default=8000, description="Prompt and completion tokens, summed over all steps."
    )
    wall_s: Annotated[float, Field(gt=0.0, le=86_400.0)] = Field(
        default=120.0, description="Wall-clock seconds."
    )


class OutputSpec(Section):
    """What an answer may carry to whoever renders it."""

    links: Literal["inert", "withhold", "ask"] = Field(
        default="inert",
        description="A link that neither the user nor a trusted field gave: shown so that nothing"
        " opens it, taken out, or asked.",
    )
    hosts: Annotated[tuple[HostName, ...], Field(strict=False), AfterValidator(distinct)] = Field(
        default=(),
        description="Hosts whose links may stand, without query; subdomains are named themselves.",
    )


class AuditSpec(Section):
    """The record of every decision, kept for whoever must prove it."""

    path: FilePath = Field(
        default="./audit-log",
        description="Folder of the log, relative to the folder of agent.yaml.",
    )


class AgentSpec(Section):
    """An agent: its model, who runs it and for what, its tools, walls, guards and limits."""

    version: Annotated[int, Exactly((1,), "write 1, the only version of this format")] = Field(
        description="Version of this format."
    )
    name: Line = Field(
        description="What the agent is called in reports and the audit log.", examples=["analyst"]
    )
    instructions: Annotated[str, Field(max_length=200_000)] = Field(
        default="",
        description="The operator's instructions to the model, given before each conversation.",
    )
    model: ModelSpec = Field(description="Which model answers.")
    deployment: DeploymentSpec = Field(description="Who runs the agent, for whom and for what.")
    sandbox: SandboxSpec = Field(default=SandboxSpec(), description="Where the model's code runs.")
    tools: Tools = Field(
        default={}, description="The tools that may be called, by name; all others are denied."
    )
    guards: GuardsSpec = Field(default=GuardsSpec(), description="Detectors at each boundary.")
    policies: PoliciesSpec | None = Field(
        default=None, description="Rules of the operator's own over calls; they only narrow."
    )
    budgets: BudgetsSpec | None = Field(
        default=None, description="What may be spent over many turns, shared by processes."
    )
    limits: LimitsSpec = Field(default=LimitsSpec(), description="What one turn may use.")
    output: OutputSpec = Field(default=OutputSpec(), description="What an answer may carry.")
    audit: AuditSpec = Field(default=AuditSpec(), description="Where the audit log is kept.")
    state: StateSpec | None = Field(
        default=None,
        description="Where runs and approvals are kept; left out, neither outlives the process.",
    )
    approvals: ApprovalsSpec = Field(
        default=ApprovalsSpec(), description="Who may approve what the gate asks about."
    )

    @classmethod
    def cross_check(cls, given: Mapping[str, object]) -> Iterable[Fault]:
        """Refuse approvals that nothing keeps, and two-person tools without two persons."""
        return approval_faults(given)
