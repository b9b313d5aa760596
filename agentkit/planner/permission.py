"""From a proposed call to its permit: the gate's ruling, a person's decision, a changed proposal.

What is covered: a call that was approved with changes goes through the gate as a new proposal,
under an id of its own, its values being the approver's words; a call that a crash interrupted is
run again only where its tool reads or is idempotent, and the policy is still the same, and is asked
about otherwise, and only yes or no; what waits for people is told apart from what is refused.

What is not covered: using a decision up, which is done with the call's start (see ``calls``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agentkit.labels import Label, SourceKind
from agentkit.messages import Message, TextPart, ToolCallPart
from agentkit.planner.approvals import Approval, ApprovalRequest, Binding, Standing
from agentkit.planner.decision import Decision, Outcome
from agentkit.planner.events import ApprovalGiven, CallRuled
from agentkit.planner.runs.wire import Changed, Ruled, Started
from agentkit.tools.declaration import Effect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentkit.planner.approvals import ApprovalDesk
    from agentkit.planner.commitment import Commitment
    from agentkit.planner.decision import Ruling
    from agentkit.planner.events import Observer
    from agentkit.planner.gate import Gate
    from agentkit.planner.record import Recorder
    from agentkit.planner.runs import Journal
    from agentkit.tools.declaration import Tool

__all__ = ["Circumstances", "PermissionRoom", "Permit", "Refusal", "Waiting"]

_MOST_CHANGES = 3


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a ruling rests on besides the call: the conversation up to and with it, what the request
    implies, the calls admitted before it, and whether a guard found signs of injection.
    """

    conversation: Sequence[Message]
    commitment: Commitment
    admitted: tuple[ToolCallPart, ...]
    suspect: bool


@dataclass(frozen=True, slots=True)
class Permit:
    """A call may run. ``start_key``: what the journal keeps of its start, empty where it has ended.

    ``request``: the decision to use up at the start. ``note``: the approver's words on a changed
    call.
    """

    call: ToolCallPart
    start_key: str = ""
    request: ApprovalRequest | None = None
    note: Message | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call may not run. ``unknown``: an earlier attempt may have had its effect."""

    decision: Decision
    unknown: bool = False
    note: Message | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """People have to decide first."""

    request_id: str


@dataclass(frozen=True, slots=True)
class PermissionRoom:
    """Where a call's permit is sought; one for each turn."""

    tools: Mapping[str, Tool]
    gate: Gate
    desk: ApprovalDesk
    journal: Journal
    recorder: Recorder
    observe: Observer

    async def permit(self, call: ToolCallPart, around: Circumstances) -> Permit | Refusal | Waiting:
        """Return whether ``call`` may run, perhaps with an approver's changes."""
        proposal, note = call, None
        for number in range(1, _MOST_CHANGES + 1):
            found = self.journal.recall(f"{proposal.call_id}/changed")
            if found is None:
                found = await self._decide(proposal, around)
            if not isinstance(found, Changed):
                return found if isinstance(found, Waiting) else replace(found, note=note)
            proposal, note = _changed(call, number, found)
            around = replace(around, conversation=(*around.conversation, note))
        return Refusal(Decision(Outcome.DENY, "approval", "the call was changed too often"))

    async def ask(self, request: ApprovalRequest) -> tuple[ApprovalRequest, Standing]:
        """Put a question to people; what they decided is recorded and shown."""
        request, standing = await self.desk.ask(request)
        if standing.state != "waiting":
            await self.recorder.answered(request, standing)
            approval = Approval(
                approved=standing.state != "denied",
                approver=", ".join(standing.people),
                comment=standing.why,
                changed=standing.changed,
            )
            self.observe(ApprovalGiven(request, approval))
        return request, standing

    def binding(self, call: ToolCallPart, call_id: str) -> Binding:
        """Return what a decision over ``call`` is bound to as the call stands now."""
        return Binding.of(
            call.name,
            call.arguments,
            run_id=self.recorder.run_id,
            call_id=call_id,
            policy_sha256=self.gate.digest,
        )

    async def _decide(
        self, call: ToolCallPart, around: Circumstances
    ) -> Permit | Refusal | Waiting | Changed:
        if self.journal.recall(f"{call.call_id}/outcome") is not None:
            return Permit(call)
        ruling = await self._rule(call, around)
        started = self.journal.recall(f"{call.call_id}/started")
        if ruling.final.outcome is Outcome.DENY:
            return Refusal(ruling.final, unknown=started is not None)
        if isinstance(started, Started):
            return await self._again(call, started)
        if ruling.final.outcome is Outcome.ALLOW:
            return Permit(call, f"{call.call_id}/started")
        return await self._asked(call, call.call_id, f"{call.call_id}/started", ruling.final)

    async def _rule(self, call: ToolCallPart, around: Circumstances) -> Ruling:
        """Return the ruling under the present policy; one made under it before still stands."""
        key = f"{call.call_id}/ruling/{self.gate.digest}"
        kept = self.journal.recall(key)
        if isinstance(kept, Ruled):
            return kept.ruling
        with self.recorder.timings.room("gate"):
            ruling = await self.gate.rule(
                call,
                around.conversation,
                commitment=around.commitment,
                admitted=around.admitted,
                suspect=around.suspect,
            )
        await self.recorder.ruled(call, ruling, self.gate.digest)
        self.observe(CallRuled(call, ruling))
        await self.journal.keep(key, Ruled(ruling, self.gate.digest))
        return ruling

    async def _again(
        self, call: ToolCallPart, started: Started
    ) -> Permit | Refusal | Waiting | Changed:
        """Decide over a call that began before a crash and whose end is not known."""
        number = 2
        while self.journal.recall(f"{call.call_id}/started/{number}") is not None:
            number += 1
        key = f"{call.call_id}/started/{number}"
        tool = self.tools[call.name]
        harmless = tool.effect is Effect.READ or tool.idempotent
        if harmless and started.policy_sha256 == self.gate.digest:
            return Permit(call, key)
        decision = Decision(
            Outcome.ASK,
            "interrupted",
            f"{call.name} was started before the run was interrupted, and nothing tells whether "
            "its effect happened",
            "a person looks, and approves only if it has to be done (again)",
        )
        found = await self._asked(call, f"{call.call_id}!{number}", key, decision)
        return replace(found, unknown=True) if isinstance(found, Refusal) else found

    async def _asked(
        self, call: ToolCallPart, call_id: str, start_key: str, decision: Decision
    ) -> Permit | Refusal | Waiting | Changed:
        request, standing = await self.ask(
            ApprovalRequest(
                self.recorder.run_id,
                call_id,
                call.name,
                json.dumps(call.arguments, ensure_ascii=False, sort_keys=True, indent=2),
                decision,
                call.arguments,
                self.binding(call, call_id),
                self.gate.persons(call.name),
            )
        )
        if standing.state == "waiting":
            return Waiting(request.request_id)
        if standing.state == "approved":
            return Permit(call, start_key, request)
        if standing.changed is not None and call_id != call.call_id:
            return Refusal(
                Decision(
                    Outcome.DENY,
                    decision.rule,
                    f"{decision.reason}; it cannot be approved with changes, for it would be made"
                    " anew beside what may have happened",
                    decision.cure,
                )
            )
        if standing.changed is not None:
            changed = Changed(standing.changed, ", ".join(standing.people))
            redeem = self.desk.redemption(request, self.binding(call, call_id))
            await self.journal.keep(f"{call.call_id}/changed", changed, redeem=redeem)
            return changed
        why = f": {standing.why}" if standing.why else ""
        return Refusal(
            Decision(
                Outcome.DENY, decision.rule, f"{decision.reason}; not approved{why}", decision.cure
            )
        )


def _changed(call: ToolCallPart, number: int, changed: Changed) -> tuple[ToolCallPart, Message]:
    """Return the new proposal, and the words that put it there: the approver's own."""
    label = Label.trusted(SourceKind.OPERATOR, f"approver:{changed.approver}")
    proposal = ToolCallPart(f"{call.call_id}~{number}", call.name, changed.arguments, label)
    spelled = json.dumps(changed.arguments, ensure_ascii=False, sort_keys=True)
    words = f"{changed.approver} approved the call {call.call_id} with these arguments: {spelled}"
    return proposal, Message("user", (TextPart(words, label),))
