"""Where a tool call is allowed, asked or denied.

What is covered: every call a model proposes passes, in this order, allowlist, argument schema,
operator's constraints, provenance, approval, policies, guards over the arguments, code scan and
rate limit.
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
    check_schema,
)
from agentkit.planner.commitment import Commitment
from agentkit.planner.decision import Decision, Evidence, Outcome, Ruling
from agentkit.planner.digest import policy_digest
from agentkit.planner.policy import Setting, check_policy
from agentkit.planner.provenance import ConversationIndex, Tracer, leaves, schema_names
from agentkit.planner.provenance.results import USER, label_result
from agentkit.planner.rules import (
    Proposal,
    ToolPolicy,
    check_commitment,
    check_content,
    check_provenance,
)
from agentkit.planner.spending import Kind, Limit, Per, Spending

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentkit.guards import GuardPipeline, Judgement
    from agentkit.messages import Message, ToolCallPart
    from agentkit.planner.policy import Policies
    from agentkit.tools.declaration import Tool

__all__ = ["Gate", "per_minute"]

_log = structlog.get_logger(__name__)


class Gate:
    """Rules over calls of the allowed ``tools``.

    ``policies``: the operator's word for each tool's name. ``guards`` judges arguments at the
    ``tool_arguments`` boundary, ``code_guards`` judges each code parameter there.
    ``own_policies``: the operator's Cedar, which can only narrow; ``setting``: what it may know.
    ``spending``: limits over a shared store; without it, calls a minute in this process alone.
    """

    def __init__(
        self,
        tools: Sequence[Tool],
        policies: Mapping[str, ToolPolicy],
        guards: GuardPipeline,
        code_guards: GuardPipeline,
        *,
        own_policies: Policies | None = None,
        setting: Setting = Setting(),
        spending: Spending | None = None,
    ) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._policies = {name: policies.get(name, ToolPolicy()) for name in self._tools}
        self._names = {tool.name: schema_names(tool.parameters) for tool in tools}
        self._guards = guards
        self._code_guards = code_guards
        self._own_policies = own_policies
        self._setting = setting
        self.spending = _per_minute(self._policies) if spending is None else spending
        self._index = ConversationIndex()
        self._digest = policy_digest(
            tools, self._policies, own_policies.digest if own_policies is not None else ""
        )

    @property
    def digest(self) -> str:
        """The policy digest: sha256 (hex) over what is declared of every tool and the operator's
        word on it, as canonical JSON (RFC 8785), and over the operator's own policies where there
        are any. It changes with each of them.
        """
        return self._digest

    def persons(self, tool: str) -> int:
        """Return how many different people must approve a call of ``tool``, where one is asked."""
        policy = self._policies.get(tool)
        return 2 if policy is not None and policy.two_persons else 1

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
        digest = self._own_policies.digest if self._own_policies is not None else ""
        return Ruling(tuple(trail), digest)

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
        if self._own_policies is not None:
            trail.append(check_policy(proposal, self._own_policies, self._setting))
            if trail[-1].outcome is Outcome.DENY:
                return
        for judge in (self._judge_arguments, self._judge_code):
            trail.append(await judge(proposal))
            if trail[-1].outcome is Outcome.DENY:
                return
        trail.append(await self.spending.check_call(proposal.call))

    async def _judge_arguments(self, proposal: Proposal) -> Decision:
        # A name can carry what a value can, also where the schema happens to declare it.
        arguments = leaves(proposal.call.arguments, named=frozenset())
        text = "\n".join(str(value) for _, value in arguments)
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


def per_minute(name: str, calls: int) -> Limit:
    """Return the limit that a tool's ``calls_per_minute`` stands for."""
    limit_id = f"tools.{name}.calls_per_minute"
    per = frozenset({Per.AGENT, Per.TOOL})
    return Limit(limit_id, Kind.CALLS, calls, 60.0, per, frozenset({name}))


def _per_minute(policies: Mapping[str, ToolPolicy]) -> Spending:
    return Spending(
        tuple(
            per_minute(name, policy.calls_per_minute)
            for name, policy in policies.items()
            if policy.calls_per_minute is not None
        )
    )


def _from_judgement(rule: str, judgement: Judgement) -> Decision:
    verdict = judgement.decisive
    reason = f"{verdict.detector}: {verdict.reason}"
    if judgement.action is Action.ALLOW:
        return Decision(Outcome.ALLOW, rule, reason)
    if judgement.action is Action.REVIEW:
        return Decision(Outcome.ASK, rule, reason, "a person approves")
    # Redacting an argument would make it another call than the one proposed.
    return Decision(Outcome.DENY, rule, reason, "propose the call without that content")
