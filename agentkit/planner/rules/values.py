"""The rule over sensitive values: an effect lands only where a trusted party wants it.

What is covered: every leaf of every parameter that decides where a call lands. It may be the
user's own or the operator's, stand in a trusted field, be fixed by the commitment, be vouched for
by a declared endorsement, or be computed from such values; else a person is asked.

What is not covered: which of several trusted values is used; ``left_open`` names those that the
model chose, and the commitment bounds them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agentkit.planner.decision import Decision, Evidence, Outcome
from agentkit.planner.provenance.readings import same_value
from agentkit.planner.rules.endorse import Vouched, vouched_by

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentkit.planner.provenance import Origin
    from agentkit.planner.rules.proposal import Proposal
    from agentkit.tools.declaration import Tool

__all__ = ["check_provenance", "evidence", "left_open", "vouched"]

_SHOWN_CHARACTERS = 120
_SHORT_NUMBER = re.compile(r"\d{1,3}")


def check_provenance(proposal: Proposal) -> Decision:
    """Ask where a call would land on a value that untrusted content made or influenced."""
    tool = proposal.tool
    deciding = [origin for origin in proposal.origins if proposal.decides(origin.parameter)]
    if not proposal.has_effect and not deciding:
        return Decision(Outcome.ALLOW, "provenance", "the tool only reads")
    doubtful = [
        origin
        for origin in deciding
        if not origin.label.is_trusted and vouched(proposal, origin) is None
    ]
    if doubtful:
        first = doubtful[0]
        return Decision(
            Outcome.ASK,
            "provenance",
            f"{tool.name} has a {tool.effect} effect and {first.path} does not come from "
            "the user or the operator",
            "a person approves, or the user names the value in their own words",
            tuple(evidence(origin) for origin in doubtful),
        )
    return Decision(Outcome.ALLOW, "provenance", "every sensitive value has a trusted origin")


def left_open(proposal: Proposal, tool: Tool, origins: Iterable[Origin]) -> tuple[Origin, ...]:
    """Return the values of a call of ``tool`` that nobody but the model chose: trusted as they may
    be, which of them it is was up to what the model had read.

    A short number in the user's words names no object by itself: who writes "pull request 1" has
    not named issue 1. It counts where the commitment fixes it for this parameter.
    """
    return tuple(
        origin
        for origin in origins
        if tool.is_sensitive(origin.parameter)
        and not (origin.is_users and not _SHORT_NUMBER.fullmatch(origin.value.strip()))
        and not (origin.passage is not None and origin.passage.is_computed)
        and vouched(proposal, origin, tool) is None
    )


def vouched(proposal: Proposal, origin: Origin, tool: Tool | None = None) -> Vouched | None:
    """Return what vouches for a value beside its origin: the commitment, or an endorsement.

    ``tool``: whose argument it is, where that is not the proposed call's.
    """
    tool = tool or proposal.tool
    for fixed in proposal.commitment.fixed(tool.name, origin.parameter):
        if same_value(fixed, origin.value):
            return Vouched("the user's request fixed it", by_user=True)
    for endorsement in tool.endorsements.get(origin.parameter, ()):
        found = vouched_by(endorsement, origin.value, proposal.tracer)
        if found is not None:
            return found
    return None


def evidence(origin: Origin) -> Evidence:
    """Return an origin as evidence: the value, and the call and span it came from."""
    sources = ", ".join(str(source) for source in origin.label.sources) or "unknown"
    passage = origin.passage
    if passage is None:
        where = f"made by the model after reading {sources}"
        return Evidence(origin.path, origin.value[:_SHOWN_CHARACTERS], where, label=origin.label)
    field = f" at {passage.path}" if passage.path else ""
    return Evidence(
        origin.path,
        origin.value[:_SHOWN_CHARACTERS],
        f"found in {sources}{field}",
        call_id=passage.call_id,
        span=(passage.start, passage.end),
        label=origin.label,
    )
