"""Policies of the operator's own: Cedar, and a YAML shorthand that compiles to it."""

from agentkit.planner.policy.check import check_policy
from agentkit.planner.policy.comparison import Comparison
from agentkit.planner.policy.facts import ArgumentFacts, CallFacts, Setting
from agentkit.planner.policy.policies import Policies, PolicySource, load_policies
from agentkit.planner.policy.rules import Conditions, Rule, RuleFault

__all__ = [
    "ArgumentFacts",
    "CallFacts",
    "Comparison",
    "Conditions",
    "Policies",
    "PolicySource",
    "Rule",
    "RuleFault",
    "Setting",
    "check_policy",
    "load_policies",
]
