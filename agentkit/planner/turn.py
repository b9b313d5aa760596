"""One turn: from the user's message to the answer.

What is covered: the user's message is recorded and judged before the model reads it; each call
goes through the gate; each result is judged before the model reads it; the answer is judged before
anybody reads it; every way out of the turn, also cancellation, leaves a ``turn_ended`` record.
A stopped turn leaves the conversation as it was before.

What is not covered: text is not streamed to the user while it is written, for it is judged whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import anyio

from agentkit.errors import TurnStopped
from agentkit.guards import Action, Boundary, GuardContext
from agentkit.labels import Label, SourceKind
from agentkit.messages import Message, TextPart, ToolResultPart
from agentkit.model.protocol import Constraint, GenerationSettings
from agentkit.planner.answer import Answer, TurnResult
from agentkit.planner.approval import ApprovalRequest, Approver, NobodyPresent
from agentkit.planner.budget import Budget, TurnLimits
from agentkit.planner.calls import CallRoom, ask_person
from agentkit.planner.commit_step import needs_commitment, request_commitment
from agentkit.planner.commitment import Commitment
from agentkit.planner.decision import Decision, Outcome
from agentkit.planner.events import ContentJudged, ModelReplied, Observer, StepStarted, ignore
from agentkit.planner.record import Recorder
from agentkit.planner.reply import Reply, ask_model
from agentkit.planner.timings import Timings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkit.audit import AuditLog
    from agentkit.guards import GuardPipeline, Judgement, Turn
    from agentkit.labels import Source
    from agentkit.messages import ToolCallPart
    from agentkit.model.protocol import ChatModel
    from agentkit.planner.gate import Gate
    from agentkit.tools.declaration import Tool

__all__ = ["Planner"]


@dataclass(frozen=True, slots=True)
class Planner:
    """Runs turns. One planner serves one agent; turns of one conversation run one at a time."""

    model: ChatModel
    tools: tuple[Tool, ...]
    gate: Gate
    guards: GuardPipeline
    log: AuditLog
    approver: Approver = field(default_factory=NobodyPresent)
    limits: TurnLimits = TurnLimits()
    settings: GenerationSettings = GenerationSettings()
    observe: Observer = ignore

    async def run(
        self, conversation: Sequence[Message], text: str, *, run_id: str, turn: int
    ) -> TurnResult:
        """Answer ``text``.

        Raises ``TurnStopped`` (blocked content, a limit, no approval), ``ModelError``,
        ``SandboxError`` or ``AuditError``; each is recorded first where the log can still be
        written.
        """
        recorder = Recorder(self.log, run_id, turn, Timings())
        budget = Budget(self.limits)
        reason = "cancelled"
        try:
            with anyio.fail_after(self.limits.wall_s):
                result = await _Turn(self, recorder, budget).run(tuple(conversation), text)
            reason = "answered"
        except TimeoutError as error:
            reason = "wall_s"
            raise TurnStopped(
                f"the turn took longer than {self.limits.wall_s:g} s",
                reason=reason,
                cure="raise limits.wall_s in the specification, or ask for less at once",
            ) from error
        except TurnStopped as error:
            reason = error.reason
            raise
        except Exception as error:
            reason = type(error).__name__
            raise
        finally:
            await recorder.ended(
                reason,
                {
                    "steps": budget.steps,
                    "tool_calls": budget.tool_calls,
                    "tokens": budget.tokens,
                },
            )
        return result


@dataclass(slots=True)
class _Turn:
    """The state of one running turn."""

    planner: Planner
    recorder: Recorder
    budget: Budget
    suspect: bool = False
    commitment: Commitment | None = None
    admitted: tuple[ToolCallPart, ...] = ()

    async def run(self, conversation: tuple[Message, ...], text: str) -> TurnResult:
        await self.recorder.started(text)
        admitted = await self._admit(Boundary.USER_INPUT, text, conversation)
        identifier = f"{self.recorder.run_id}/{self.recorder.turn}"
        conversation = (*conversation, Message.user(admitted, identifier))
        calls = self._call_room()
        while True:
            reply = await self._step(conversation)
            conversation = (*conversation, reply.message)
            proposed = reply.message.calls
            if proposed:
                self.budget.take_calls(len(proposed))
                settled = await calls.settle(
                    proposed,
                    conversation,
                    commitment=await self._commit(conversation, proposed),
                    admitted=self.admitted,
                    suspect=self.suspect,
                )
                self.suspect = settled.suspect
                self.admitted = settled.admitted
                conversation = (*conversation, Message("tool", settled.results))
            elif reply.problems or not reply.text:
                problems = reply.problems or ("The reply was empty.",)
                conversation = (*conversation, _correction(problems))
            else:
                return await self._answer(conversation, reply)

    def _call_room(self) -> CallRoom:
        planner = self.planner
        return CallRoom(
            tools={tool.name: tool for tool in planner.tools},
            gate=planner.gate,
            guards=planner.guards,
            approver=planner.approver,
            recorder=self.recorder,
            observe=planner.observe,
            take_calls=self.budget.take_calls,
        )

    async def _step(self, conversation: tuple[Message, ...]) -> Reply:
        planner, budget = self.planner, self.budget
        budget.take_step()
        planner.observe(StepStarted(budget.steps))
        wanted = budget.tokens_left(planner.settings.max_tokens)
        with self.recorder.timings.room("model"):
            reply = await ask_model(
                planner.model,
                conversation,
                tools=[tool.declaration for tool in planner.tools],
                # The last step allowed can only be an answer.
                constraint=Constraint(tool_choice="none" if budget.last_step else "auto"),
                settings=replace(planner.settings, max_tokens=wanted),
                call_prefix=f"{self.recorder.turn}.{budget.steps}",
            )
        budget.add_tokens(reply.usage.prompt_tokens + reply.usage.completion_tokens)
        await self.recorder.replied(reply, budget.steps)
        planner.observe(
            ModelReplied(budget.steps, reply.message.calls, reply.problems, reply.usage)
        )
        return reply

    async def _commit(
        self, conversation: tuple[Message, ...], proposed: Sequence[ToolCallPart]
    ) -> Commitment:
        """Return what the request implies: asked for once a turn, before the first untrusted read
        (or the first call, where untrusted content stands in the conversation already).
        """
        planner, budget = self.planner, self.budget
        if self.commitment is not None:
            return self.commitment
        if not needs_commitment(planner.tools, conversation, proposed):
            return Commitment()
        wanted = budget.tokens_left(planner.settings.max_tokens)
        with self.recorder.timings.room("model"):
            self.commitment, reply = await request_commitment(
                planner.model,
                conversation,
                planner.tools,
                settings=replace(planner.settings, max_tokens=wanted),
                call_prefix=f"{self.recorder.turn}.commit",
            )
        budget.add_tokens(reply.usage.prompt_tokens + reply.usage.completion_tokens)
        await self.recorder.committed(self.commitment, reply)
        return self.commitment

    async def _answer(self, conversation: tuple[Message, ...], reply: Reply) -> TurnResult:
        text = await self._admit(Boundary.MODEL_OUTPUT, reply.text, conversation[:-1])
        conversation = (*conversation[:-1], Message.assistant(text, reply.message.label))
        sources = _read_sources(conversation)
        receipt = await self.recorder.answer(text, [str(source) for source in sources])
        answer = Answer(
            text=text,
            sources=sources,
            receipt=receipt,
            run_id=self.recorder.run_id,
            turn=self.recorder.turn,
            steps=self.budget.steps,
            tool_calls=self.budget.tool_calls,
            tokens=self.budget.tokens,
            seconds=self.recorder.timings.visits,
        )
        return TurnResult(answer, conversation)

    async def _admit(self, boundary: Boundary, text: str, conversation: Sequence[Message]) -> str:
        """Return the text that may go on across a boundary, or raise ``TurnStopped``."""
        context = GuardContext.of(boundary, _spoken(conversation))
        with self.recorder.timings.room("guards"):
            judgement = await self.planner.guards.judge(text, context)
        await self.recorder.judged(boundary, judgement)
        self.planner.observe(ContentJudged(boundary, judgement))
        if judgement.action is Action.BLOCK:
            raise _blocked(boundary, judgement)
        if judgement.action is Action.REVIEW:
            await self._review(boundary, judgement)
        return judgement.text

    async def _review(self, boundary: Boundary, judgement: Judgement) -> None:
        verdict = judgement.decisive
        decision = Decision(
            Outcome.ASK, "guards", f"{verdict.detector}: {verdict.reason}", "a person approves"
        )
        request = ApprovalRequest(
            self.recorder.run_id,
            f"{self.recorder.turn}.{boundary.value}",
            boundary.value,
            judgement.text,
            decision,
        )
        approval = await ask_person(
            self.planner.approver, request, self.recorder, self.planner.observe
        )
        if not approval.approved:
            raise _blocked(boundary, judgement)
        self.suspect = True


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


def _correction(problems: Sequence[str]) -> Message:
    text = "Your last message could not be used. " + " ".join(problems) + " Write it again."
    return Message("user", (TextPart(text, Label.trusted(SourceKind.OPERATOR, "planner")),))


def _read_sources(conversation: Sequence[Message]) -> tuple[Source, ...]:
    found = {
        source
        for message in conversation
        for part in message.parts
        if isinstance(part, ToolResultPart)
        for source in part.label.sources
        if source.kind in {SourceKind.TOOL, SourceKind.DOCUMENT}
    }
    return tuple(sorted(found))
