"""The gate's checks, one function each: a proposed call in, one ``Decision`` out.

A check decides from the call, the tool's declaration, the operator's policy and the conversation;
none of them asks a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from jsonschema import Draft202012Validator

from agentkit.planner.decision import Decision, Evidence, Outcome
from agentkit.tools.declaration import Effect, Tool

if TYPE_CHECKING:
    from agentkit.messages import JsonObject, ToolCallPart
    from agentkit.planner.provenance import Origin, Tracer
    from agentkit.planner.rate import RateLimiter

__all__ = [
    "Proposal",
    "ToolPolicy",
    "check_approval",
    "check_constraints",
    "check_provenance",
    "check_rate",
    "check_schema",
]

_SHOWN_CHARACTERS = 120


@dataclass(frozen=True, slots=True)
class ToolPolicy:
    """The operator's word on one allowed tool.

    ``approval``: ``ask`` before every call, or ``auto``: ask where provenance demands it.
    ``arguments``: JSON Schema that arguments must match besides the tool's own. ``None`` in
    ``calls_per_minute``: no rate limit.
    """

    approval: Literal["auto", "ask"] = "auto"
    arguments: JsonObject | None = None
    calls_per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """A call with what the checks need to know: its tool, its policy, and where values of the
    conversation so far come from.

    ``suspect``: a guard found signs of injection in this turn's content.
    """

    call: ToolCallPart
    tool: Tool
    policy: ToolPolicy
    tracer: Tracer
    suspect: bool = False


def check_schema(proposal: Proposal) -> Decision:
    """Deny arguments that the tool's own schema does not admit."""
    return _match("schema", proposal.tool.parameters, proposal, "write the arguments as declared")


def check_constraints(proposal: Proposal) -> Decision:
    """Deny arguments outside the operator's constraints."""
    if proposal.policy.arguments is None:
        return Decision(Outcome.ALLOW, "constraints", "none are set")
    cure = f"stay within tools.{proposal.tool.name}.arguments, or have the operator widen it"
    return _match("constraints", proposal.policy.arguments, proposal, cure)


def check_provenance(proposal: Proposal) -> Decision:
    """Ask where an effect would land on a value that untrusted content made or influenced.

    Reads run. A write or an external effect runs when each sensitive argument is the user's or
    the operator's own, or was made by a model that had read nothing untrusted.
    """
    tool = proposal.tool
    if tool.effect is Effect.READ:
        return Decision(Outcome.ALLOW, "provenance", "the tool only reads")
    doubtful = [
        origin
        for origin in proposal.tracer.trace(proposal.call)
        if tool.is_sensitive(origin.parameter) and not origin.label.is_trusted
    ]
    if doubtful:
        return Decision(
            Outcome.ASK,
            "provenance",
            f"{tool.name} has a {tool.effect} effect and {doubtful[0].path} does not come from "
            "the user or the operator",
            "a person approves, or the user names the value in their own words",
            tuple(_evidence(origin) for origin in doubtful),
        )
    if proposal.suspect:
        return Decision(
            Outcome.ASK,
            "suspect_content",
            f"{tool.name} has a {tool.effect} effect and this turn read content that looks like "
            "an injected instruction",
            "a person approves, or the user asks again without that content",
        )
    return Decision(Outcome.ALLOW, "provenance", "every sensitive value has a trusted origin")


def check_approval(proposal: Proposal) -> Decision:
    """Ask where the operator wants every call asked."""
    if proposal.policy.approval == "ask":
        return Decision(
            Outcome.ASK,
            "approval",
            f"the operator wants each call of {proposal.tool.name} approved",
            "a person approves",
        )
    return Decision(Outcome.ALLOW, "approval", "not demanded")


def check_rate(proposal: Proposal, limiter: RateLimiter) -> Decision:
    """Deny a call beyond its tool's rate limit; an admitted call is counted."""
    wait_s = limiter.take(proposal.tool.name)
    if wait_s > 0:
        return Decision(
            Outcome.DENY,
            "rate",
            f"{proposal.tool.name} reached {proposal.policy.calls_per_minute} calls a minute",
            f"wait {wait_s:.0f} s, or have the operator raise calls_per_minute",
        )
    return Decision(Outcome.ALLOW, "rate", "within the limit")


def _match(rule: str, schema: JsonObject, proposal: Proposal, cure: str) -> Decision:
    problem = next(Draft202012Validator(schema).iter_errors(proposal.call.arguments), None)
    if problem is None:
        return Decision(Outcome.ALLOW, rule, "the arguments match")
    where = problem.json_path
    message = problem.message[:_SHOWN_CHARACTERS]
    return Decision(
        Outcome.DENY,
        rule,
        f"{where}: {message}",
        cure,
        (Evidence(where, message, "model"),),
    )


def _evidence(origin: Origin) -> Evidence:
    sources = ", ".join(str(source) for source in origin.label.sources) or "unknown"
    how = "found in" if origin.found else "made by the model after reading"
    return Evidence(origin.path, origin.value[:_SHOWN_CHARACTERS], f"{how} {sources}")
