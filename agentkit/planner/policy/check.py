"""The gate's check over policies: a proposal in, one ``Decision`` out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.planner.policy.facts import ArgumentFacts, CallFacts, Setting

if TYPE_CHECKING:
    from agentkit.planner.decision import Decision
    from agentkit.planner.policy.policies import Policies
    from agentkit.planner.rules import Proposal

__all__ = ["check_policy", "facts_of"]


def check_policy(proposal: Proposal, policies: Policies, setting: Setting) -> Decision:
    """Deny or ask what the operator's policies forbid; they never widen what others refuse."""
    return policies.decide(facts_of(proposal, policies, setting))


def facts_of(proposal: Proposal, policies: Policies, setting: Setting) -> CallFacts:
    """Return what the policies may know of a proposal."""
    origins: dict[str, ArgumentFacts] = {}
    for origin in proposal.origins:
        name = origin.parameter
        part = ArgumentFacts(origin.label, origin.found)
        origins[name] = origins[name].join(part) if name in origins else part
    return CallFacts(
        proposal.tool,
        proposal.call.arguments,
        setting.clock().astimezone(policies.zone),
        setting,
        origins,
        proposal.suspect,
    )
