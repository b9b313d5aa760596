"""Where a tool call is allowed, asked or denied.

What is covered: every call a model proposes passes, in this order, allowlist, argument schema,
operator's constraints, guards over the arguments, code scan, provenance, approval and rate limit.
Any check that fails to decide (an exception, a guard's timeout) denies. Nothing runs before the
ruling.

What is not covered: what a permitted tool does inside its function, and values in other spellings
(see ``provenance``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from agentkit.guards import Action, Boundary, GuardContext
from agentkit.labels import Integrity, Label, Source, SourceKind
from agentkit.messages import ToolResultPart
from agentkit.planner.checks import (
    check_approval,
    check_constraints,
    check_rate,
    check_schema,
)
from agentkit.planner.commitment import Commitment
from agentkit.planner.decision import Decision, Evidence, Outcome, Ruling
from agentkit.planner.digest import policy_digest
from agentkit.planner.provenance import ConversationIndex, Tracer, leaves
from agentkit.planner.provenance.results import USER, label_result
from agentkit.planner.rate import RateLimiter
from agentkit.planner.rules import (
    Proposal,
    ToolPolicy,
    check_commitment,
    check_content,
    check_provenance,
)
from agentkit.planner.rules.proposal import schema_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentkit.guards import GuardPipeline, Judgement
    from agentkit.messages import Message, ToolCallPart
    from agentkit.tools.declaration import Tool

__all__ = ["Gate"]

_log = structlog.get_logger(__name__)


class Gate:
    """Rules over calls of the allowed ``tools``.

    ``policies``: the operator's word for each tool's name. ``guards`` judges arguments at the
    ``tool_arguments`` boundary, ``code_guards`` judges each code parameter there.
    """

    def __init__(
        self,
        tools: Sequence[Tool],
        policies: Mapping[str, ToolPolicy],
        guards: GuardPipeline,
        code_guards: GuardPipeline,
    ) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._policies = {name: policies.get(name, ToolPolicy()) for name in self._tools}
        self._names = {tool.name: schema_names(tool.parameters) for tool in tools}
        self._guards = guards
        self._code_guards = code_guards
        self._index = ConversationIndex()
        self._digest = policy_digest(tools, self._policies)
        self._limiter = RateLimiter(
            {
                name: policy.calls_per_minute
                for name, policy in self._policies.items()
                if policy.calls_per_minute is not None
            }
        )

    @property
    def digest(self) -> str:
        """The policy digest: sha256 (hex) over what is declared of every tool and the operator's
        word on it, as canonical JSON (RFC 8785). It changes with either.
        """
        return self._digest

    async def rule(
        self,
        call: ToolCallPart,
        conversation: Sequence[Message],
        *,
        commitment: Commitment = Commitment(),
        admitted: Sequence[ToolCallPart] = (),
        suspect: bool = False,
    ) -> Ruling:
        """Rule over one call. Never raises for what a model proposed; stops at the first deny.

        ``commitment``: what the user's request implies; nothing, unless it is given. ``admitted``:
        the calls of this turn that may already run, in order. ``suspect``: a guard found signs of
        injection; whoever is asked is told.
        """
        tool = self._tools.get(call.name)
        if tool is None:
            allowed = ", ".join(sorted(self._tools)) or "none"
            return Ruling(
                (
                    Decision(
                        Outcome.DENY,
                        "allowlist",
                        f"{call.name!r} is not an allowed tool",
                        f"call one of: {allowed}; only the operator can add tools",
                    ),
                )
            )
        trail = [Decision(Outcome.ALLOW, "allowlist", "the tool is allowed")]
        try:
            tracer = Tracer(conversation, self._index)
            proposal = Proposal(
                call,
                tool,
                self._policies[call.name],
                conversation,
                tracer,
                tracer.trace(call, named=self._names[call.name]),
                self._tools,
                commitment,
                admitted,
                suspect,
            )
            await self._extend(trail, proposal)
        except Exception as error:  # noqa: BLE001 - what cannot be decided is denied
            _log.exception("gate_fault", tool=call.name, call_id=call.call_id)
            trail.append(
                Decision(
                    Outcome.DENY,
                    "gate",
                    f"the gate itself failed ({type(error).__name__})",
                    "see the log; the call was not made",
                )
            )
        return Ruling(tuple(trail))

    def label(
        self,
        call: ToolCallPart,
        text: str,
        conversation: Sequence[Message],
        *,
        is_error: bool = False,
    ) -> ToolResultPart:
        """Return the result of a call of an allowed tool, labelled as the tool declares it.

        ``conversation``: up to and with the call. What cannot be labelled is untrusted.
        """
        tool = self._tools[call.name]
        try:
            tracer = Tracer(conversation, self._index)
            label, fields = label_result(tool, call, text, tracer, is_error=is_error)
        except Exception:  # noqa: BLE001 - untrusted as a whole is the strictest label there is
            _log.exception("label_fault", tool=call.name, call_id=call.call_id)
            source = Source(SourceKind.TOOL, f"{call.name}#{call.call_id}")
            label, fields = Label(Integrity.UNTRUSTED, frozenset({USER}), (source,)), ()
        return ToolResultPart(call.call_id, call.name, text, label, is_error, fields)

    async def _extend(self, trail: list[Decision], proposal: Proposal) -> None:
        """Append decisions until one denies; the rate limit is last, so that it counts only calls
        that nothing else denies.
        """
        for check in (
            check_schema,
            check_constraints,
            check_provenance,
            check_content,
            check_commitment,
            check_approval,
        ):
            trail.append(_with_suspicion(check(proposal), proposal))
            if trail[-1].outcome is Outcome.DENY:
                return
        for judge in (self._judge_arguments, self._judge_code):
            trail.append(await judge(proposal))
            if trail[-1].outcome is Outcome.DENY:
                return
        trail.append(check_rate(proposal, self._limiter))

    async def _judge_arguments(self, proposal: Proposal) -> Decision:
        text = "\n".join(str(value) for _, value in leaves(proposal.call.arguments))
        context = GuardContext.of(Boundary.TOOL_ARGUMENTS)
        return _from_judgement("guards", await self._guards.judge(text, context))

    async def _judge_code(self, proposal: Proposal) -> Decision:
        context = GuardContext.of(Boundary.TOOL_ARGUMENTS)
        for name in sorted(proposal.tool.code_parameters & proposal.call.arguments.keys()):
            judgement = await self._code_guards.judge(str(proposal.call.arguments[name]), context)
            if judgement.action is not Action.ALLOW:
                return _from_judgement("code_scan", judgement)
        return Decision(Outcome.ALLOW, "code_scan", "nothing forbidden was found")


def _with_suspicion(decision: Decision, proposal: Proposal) -> Decision:
    """Tell whoever is asked that a guard found signs of injection; it decides nothing."""
    if decision.outcome is not Outcome.ASK or not proposal.suspect:
        return decision
    warning = Evidence("$", "", "a guard found signs of injection in what this turn read")
    return replace(decision, evidence=(*decision.evidence, warning))


def _from_judgement(rule: str, judgement: Judgement) -> Decision:
    verdict = judgement.decisive
    reason = f"{verdict.detector}: {verdict.reason}"
    if judgement.action is Action.ALLOW:
        return Decision(Outcome.ALLOW, rule, reason)
    if judgement.action is Action.REVIEW:
        return Decision(Outcome.ASK, rule, reason, "a person approves")
    # Redacting an argument would make it another call than the one proposed.
    return Decision(Outcome.DENY, rule, reason, "propose the call without that content")
