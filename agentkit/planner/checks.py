"""The gate's checks over a call by itself: its schema, the operator's constraints, its rate.

Each is one function: a proposed call in, one ``Decision`` out. None of them asks a model. The
rules over where values came from stand in ``rules/``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jsonschema import Draft202012Validator

from agentkit.planner.decision import Decision, Evidence, Outcome

if TYPE_CHECKING:
    from agentkit.messages import JsonObject
    from agentkit.planner.rate import RateLimiter
    from agentkit.planner.rules import Proposal

__all__ = ["check_approval", "check_constraints", "check_rate", "check_schema"]

_SHOWN_CHARACTERS = 120


def check_schema(proposal: Proposal) -> Decision:
    """Deny arguments that the tool's own schema does not admit."""
    return _match("schema", proposal.tool.parameters, proposal, "write the arguments as declared")


def check_constraints(proposal: Proposal) -> Decision:
    """Deny arguments outside the operator's constraints."""
    if proposal.policy.arguments is None:
        return Decision(Outcome.ALLOW, "constraints", "none are set")
    cure = f"stay within tools.{proposal.tool.name}.arguments, or have the operator widen it"
    return _match("constraints", proposal.policy.arguments, proposal, cure)


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
