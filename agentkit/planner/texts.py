"""Texts at the turn's two boundaries: what the user says goes in, what the model answers goes out.

What is covered: a text is judged before anybody reads it; what a detector wants reviewed waits for
a person; an answer that was admitted passes the output channel; a link that only a person may let
stand is asked about, and stays inert where nobody approves.

What is not covered: results of tools, which ``calls`` guards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentkit.errors import RunSuspended, TurnStopped
from agentkit.guards import Action, Boundary, GuardContext
from agentkit.planner.approvals import ApprovalRequest, Binding
from agentkit.planner.decision import Decision, Evidence, Outcome
from agentkit.planner.events import ContentJudged
from agentkit.planner.runs.wire import Admitted

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from agentkit.guards import GuardPipeline, Judgement, Turn
    from agentkit.messages import JsonObject, Message
    from agentkit.planner.approvals import Standing
    from agentkit.planner.output import OutputChannel, Released
    from agentkit.planner.permission import PermissionRoom

__all__ = ["TextRoom"]


@dataclass(frozen=True, slots=True)
class TextRoom:
    """Where texts are let in and out; one for each turn."""

    guards: GuardPipeline
    output: OutputChannel
    permission: PermissionRoom

    async def admit(
        self, key: str, boundary: Boundary, text: str, conversation: Sequence[Message]
    ) -> Admitted:
        """Return the text that may go on across a boundary, kept in the journal under ``key``.

        Raises ``TurnStopped`` where none may, and ``RunSuspended`` while people have to decide.
        """
        kept = self.permission.journal.recall(key)
        if isinstance(kept, Admitted):
            return kept
        recorder = self.permission.recorder
        context = GuardContext.of(boundary, _spoken(conversation))
        with recorder.timings.room("guards"):
            judgement = await self.guards.judge(text, context)
        await recorder.judged(boundary, judgement)
        self.permission.observe(ContentJudged(boundary, judgement))
        if judgement.action is Action.BLOCK:
            raise _blocked(boundary, judgement)
        redeem = None
        if judgement.action is Action.REVIEW:
            redeem = await self._review(boundary, judgement)
        admitted = Admitted(judgement.text, suspect=redeem is not None)
        await self.permission.journal.keep(key, admitted, redeem=redeem)
        return admitted

    async def release(self, text: str, conversation: Sequence[Message]) -> Released:
        """Return what may go out of an answer that the guards admitted.

        Raises ``RunSuspended`` while people have to decide; any fault ends the turn.
        """
        with self.permission.recorder.timings.room("output"):
            released = self.output.release(text, conversation)
        asked = [found for found in released.findings if found.action == "ask"]
        if not asked:
            return released
        journal = self.permission.journal
        if journal.recall("links") is None:
            decision = Decision(
                Outcome.ASK,
                "output",
                "the answer links to where nobody trusted pointed",
                "a person lets the links stand",
                tuple(Evidence("$", found.text, found.origin) for found in asked),
            )
            redeem = await self._ask("links", "answer_links", text, decision)
            if redeem is None:
                return released
            await journal.keep("links", Admitted(text, suspect=False), redeem=redeem)
        return self.output.release(text, conversation, approved=True)

    async def _review(
        self, boundary: Boundary, judgement: Judgement
    ) -> Callable[[sqlite3.Connection], Standing]:
        """Have people look at a text; return the step that uses their decision up."""
        verdict = judgement.decisive
        decision = Decision(
            Outcome.ASK, "guards", f"{verdict.detector}: {verdict.reason}", "a person approves"
        )
        redeem = await self._ask(boundary.value, boundary.value, judgement.text, decision)
        if redeem is None:
            raise _blocked(boundary, judgement)
        return redeem

    async def _ask(
        self, name: str, subject: str, text: str, decision: Decision
    ) -> Callable[[sqlite3.Connection], Standing] | None:
        """Return the step that uses an approval up, or None where there is none."""
        recorder = self.permission.recorder
        run_id, call_id = recorder.run_id, f"{recorder.turn}.{name}"
        arguments: JsonObject = {"text": text}
        binding = Binding.of(
            subject,
            arguments,
            run_id=run_id,
            call_id=call_id,
            policy_sha256=self.permission.gate.digest,
        )
        request, standing = await self.permission.ask(
            ApprovalRequest(run_id, call_id, subject, text, decision, arguments, binding)
        )
        if standing.state == "waiting":
            raise RunSuspended(run_id, (request.request_id,))
        if standing.state != "approved":
            return None
        return self.permission.desk.redemption(request, binding)


def _blocked(boundary: Boundary, judgement: Judgement) -> TurnStopped:
    verdict = judgement.decisive
    return TurnStopped(
        f"the guards stopped the {boundary.value.replace('_', ' ')}: "
        f"{verdict.detector}: {verdict.reason}",
        reason=f"{boundary.value}_blocked",
        cure="rephrase, or have the operator look at the audit log"
        if boundary is Boundary.USER_INPUT
        else "the answer was withheld; ask differently",
    )


def _spoken(conversation: Sequence[Message]) -> tuple[Turn, ...]:
    """Return what user and assistant said to each other, oldest first."""
    return tuple(
        (message.role, message.text)
        for message in conversation
        if message.role in {"user", "assistant"} and message.text
    )
