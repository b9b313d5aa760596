"""The rule over what the request implies: an effect outside it is asked about.

What is covered: once untrusted content has been read, every write and external effect; also one
whose values all look clean, such as a second use of a permitted tool on another object.

What is not covered: reads, which run; what they return stays labelled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.planner.decision import Decision, Evidence, Outcome
from agentkit.planner.rules.endorse import bears_name
from agentkit.tools.endorsement import RecordNamedByUser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkit.messages import JsonValue, ToolCallPart
    from agentkit.planner.rules.proposal import Proposal

__all__ = ["check_commitment", "is_committed"]


def check_commitment(proposal: Proposal) -> Decision:
    """Ask where an effect lies outside the commitment of the turn."""
    if not proposal.has_effect:
        return Decision(Outcome.ALLOW, "commitment", "the tool only reads")
    if not proposal.is_influenced:
        return Decision(Outcome.ALLOW, "commitment", "nothing untrusted has been read")
    if is_committed(proposal, proposal.call, proposal.admitted):
        return Decision(Outcome.ALLOW, "commitment", "the user's request implies it")
    name = proposal.tool.name
    entries = [entry for entry in proposal.commitment.entries if entry.tool == name]
    how = (
        f"implies {name}, but not on this object or not once more"
        if entries
        else f"does not imply {name}"
    )
    return Decision(
        Outcome.ASK,
        "commitment",
        f"what the user asked for {how}, and this turn has read untrusted content",
        "a person approves, or the user asks for it in their own words",
        tuple(
            Evidence(
                origin.path,
                origin.value[:120],
                "not fixed by the request",
                label=origin.label,
            )
            for origin in proposal.origins
            if proposal.decides(origin.parameter)
        ),
    )


def is_committed(
    proposal: Proposal, call: ToolCallPart, before: Sequence[ToolCallPart] = ()
) -> bool:
    """Whether a call of any allowed tool lies within the commitment."""
    tool = proposal.tools.get(call.name)
    if tool is None:
        return False

    def linked(parameter: str, value: JsonValue, name: JsonValue) -> bool:
        return any(
            isinstance(rule, RecordNamedByUser) and bears_name(rule, value, name, proposal.tracer)
            for rule in tool.endorsements.get(parameter, ())
        )

    return proposal.commitment.covers(call, before, tool.is_sensitive, linked)
