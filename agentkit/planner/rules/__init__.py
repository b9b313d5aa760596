"""The rules over where a call's values came from and where they would go."""

from agentkit.planner.rules.bounds import check_commitment
from agentkit.planner.rules.content import check_content
from agentkit.planner.rules.proposal import Proposal, ToolPolicy
from agentkit.planner.rules.values import check_provenance

__all__ = ["Proposal", "ToolPolicy", "check_commitment", "check_content", "check_provenance"]
