"""One turn: from the user's message to the answer.

What is covered: the user's message is recorded and judged before the model reads it; each call
goes through the gate; each result is judged before the model reads it; the answer is judged and
passes the output channel before anybody reads it; every way out of the turn, also cancellation,
leaves a ``turn_ended`` record. A stopped turn leaves the conversation as it was before. What the
model said, the gate ruled and tools returned is kept in the journal, so that a turn that people put
off, or that a crash ended, is run again from its beginning without any of it happening twice.

What is not covered: text is not streamed to the user while it is written, for it is judged whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import anyio

from agentkit.errors import AuditError, StateError, TurnStopped
from agentkit.guards import Boundary
from agentkit.labels import SourceKind
from agentkit.messages import Message, TextPart, ToolResultPart
from agentkit.model.protocol import Constraint, GenerationSettings
from agentkit.planner.answer import Answer, TurnResult
from agentkit.planner.approvals import ApprovalDesk, Approver, NobodyPresent
from agentkit.planner.budget import Budget, TurnLimits
from agentkit.planner.calls import CallRoom
from agentkit.planner.clock import system_clock
from agentkit.planner.commit_step import needs_commitment, request_commitment
from agentkit.planner.commitment import Commitment
from agentkit.planner.decision import Decision, Outcome, Ruling
from agentkit.planner.events import CallRuled, ModelReplied, Observer, StepStarted, ignore, steady
from agentkit.planner.output import OutputChannel
from agentkit.planner.permission import PermissionRoom
from agentkit.planner.provenance import conversation_label
from agentkit.planner.record import Recorder
from agentkit.planner.reply import Reply, ask_model
from agentkit.planner.runs import Claim, Journal, RunStore
from agentkit.planner.runs.wire import Promised
from agentkit.planner.spending.prompt import most_tokens, used_tokens
from agentkit.planner.state import StateFile
from agentkit.planner.texts import TextRoom
from agentkit.planner.timings import Timings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkit.audit import AuditLog
    from agentkit.guards import GuardPipeline
    from agentkit.labels import Source
    from agentkit.messages import ToolCallPart
    from agentkit.model.protocol import ChatModel
    from agentkit.planner.gate import Gate
    from agentkit.tools.declaration import Tool

__all__ = ["Planner"]

_COMMIT_WORDS = 4096
"""No more tokens than these are in the commitment step's own instructions."""


# Without log or journal nothing can be closed: the turn stays as a killed process leaves it.
_RESUMABLE = frozenset({"answered", AuditError.__name__, "AuditDamaged", StateError.__name__})


@dataclass(frozen=True, slots=True)
class Planner:
    """Runs turns. One planner serves one agent; turns of one conversation run one at a time.

    ``state``: where runs and approvals are kept, by default in this process's memory. ``desk``:
    where people are asked; by default ``approver`` alone is, unsigned.
    """

    model: ChatModel
    tools: tuple[Tool, ...]
    gate: Gate
    guards: GuardPipeline
    log: AuditLog
    approver: Approver = field(default_factory=NobodyPresent)
    limits: TurnLimits = TurnLimits()
    settings: GenerationSettings = GenerationSettings()
    observe: Observer = ignore
    state: StateFile = field(default_factory=StateFile.in_memory)
    desk: ApprovalDesk | None = None
    output: OutputChannel = field(default_factory=OutputChannel)

    async def run(
        self,
        conversation: Sequence[Message],
        text: str,
        *,
        run_id: str,
        turn: int,
        claim: Claim | None = None,
    ) -> TurnResult:
        """Answer ``text``; a turn that was suspended or interrupted goes on where it was.

        ``claim``: the hold on a run that was taken before. Raises ``TurnStopped`` (blocked or
        broken text, a limit, no approval), ``RunSuspended``, ``ModelError``, ``SandboxError``,
        ``StateError`` or ``AuditError``; each is recorded first where the log can still be written.
        """
        recorder = Recorder(self.log, run_id, turn, Timings())
        budget = Budget(self.limits)
        journal: Journal | None = None
        reason, allowed_s = "cancelled", self.limits.wall_s
        try:
            _check_encodable(text)
            if claim is None:
                claim = await self.state.write(partial(RunStore(system_clock).claim, run_id=run_id))
            journal = await Journal.open(self.state, claim, turn, text)
            async with self.gate.spending.wall_time(self.limits.wall_s) as allowed_s:
                with anyio.fail_after(allowed_s):
                    planner = replace(self, observe=steady(self.observe))
                    work = _Turn(planner, recorder, budget, journal)
                    result = await work.run(tuple(conversation), text)
            added = result.conversation[len(conversation) :]
            await journal.ended("answered", added, result.answer)
            reason = "answered"
        except TimeoutError as error:
            reason = "wall_s"
            raise TurnStopped(
                f"the turn took longer than {allowed_s:g} s",
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
            await _close(journal, recorder, budget, reason)
        return result


def _check_encodable(text: str) -> None:
    """Refuse half characters before anything is written: no store and no log could hold them."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TurnStopped(
            f"the user input holds half a character (a lone surrogate) at {error.start}",
            reason="user_input_malformed",
            cure="decode the text from UTF-8 before it is handed over, or write it again",
        ) from error


async def _close(journal: Journal | None, recorder: Recorder, budget: Budget, reason: str) -> None:
    """Leave the turn as it ended: to be resumed, or closed."""
    try:
        if journal is not None and reason == "suspended":
            await journal.suspended(reason)
        elif journal is not None and reason not in _RESUMABLE:
            await journal.ended(reason)
    finally:
        spent = {"steps": budget.steps, "tool_calls": budget.tool_calls, "tokens": budget.tokens}
        await recorder.ended(reason, {**spent})


@dataclass(slots=True)
class _Turn:
    """The state of one running turn."""

    planner: Planner
    recorder: Recorder
    budget: Budget
    journal: Journal
    suspect: bool = False
    commitment: Commitment | None = None
    admitted: tuple[ToolCallPart, ...] = ()
    permission: PermissionRoom = field(init=False)
    texts: TextRoom = field(init=False)

    def __post_init__(self) -> None:
        planner = self.planner
        self.permission = PermissionRoom(
            tools={tool.name: tool for tool in planner.tools},
            gate=planner.gate,
            desk=planner.desk or ApprovalDesk(planner.state, approver=planner.approver),
            journal=self.journal,
            recorder=self.recorder,
            observe=planner.observe,
        )
        self.texts = TextRoom(planner.guards, planner.output, self.permission)

    async def run(self, conversation: tuple[Message, ...], text: str) -> TurnResult:
        await self.recorder.started(text, replayed=self.journal.replayed)
        admitted = await self._admit("input", Boundary.USER_INPUT, text, conversation)
        identifier = f"{self.recorder.run_id}/{self.recorder.turn}"
        conversation = (*conversation, Message.user(admitted, identifier))
        calls = self._call_room()
        while True:
            reply = await self._step(conversation)
            conversation = (*conversation, reply.message)
            proposed = reply.message.calls
            if proposed and self.budget.last_step:
                await self._refuse(proposed)  # and stop: no step is left
            elif proposed:
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
                conversation = (*conversation, Message("tool", settled.results), *settled.notes)
            elif reply.problems or not reply.text:
                problems = reply.problems or ("The reply was empty.",)
                conversation = (*conversation, _correction(problems, conversation))
            else:
                return await self._answer(conversation, reply)

    async def _refuse(self, proposed: Sequence[ToolCallPart]) -> None:
        """Record that calls of the last step, whatever model made them, are not carried out."""
        ruling = Ruling(
            (
                Decision(
                    Outcome.DENY,
                    "steps",
                    "the last step allowed may only answer",
                    "raise limits.steps in the specification",
                ),
            )
        )
        for call in proposed:
            await self.recorder.ruled(call, ruling, self.planner.gate.digest)
            self.planner.observe(CallRuled(call, ruling))

    def _call_room(self) -> CallRoom:
        planner = self.planner
        return CallRoom(
            tools={tool.name: tool for tool in planner.tools},
            permission=self.permission,
            guards=planner.guards,
            journal=self.journal,
            recorder=self.recorder,
            observe=planner.observe,
            take_calls=self.budget.take_calls,
        )

    async def _step(self, conversation: tuple[Message, ...]) -> Reply:
        planner, budget = self.planner, self.budget
        budget.take_step()
        planner.observe(StepStarted(budget.steps))
        prompt = most_tokens(conversation, [tool.declaration for tool in planner.tools])
        wanted = budget.tokens_left(planner.settings.max_tokens)
        reply = await self.journal.once(
            f"reply {budget.steps}", partial(self._ask, conversation, prompt, wanted)
        )
        planner.observe(
            ModelReplied(budget.steps, reply.message.calls, reply.problems, reply.usage)
        )
        budget.add_tokens(used_tokens(reply.usage, prompt=prompt, completion=wanted))
        return reply

    async def _ask(self, conversation: tuple[Message, ...], prompt: int, wanted: int) -> Reply:
        """Have the model reply. ``prompt``: the tokens it reads at most; ``wanted``: it writes."""
        planner, budget = self.planner, self.budget
        async with planner.gate.spending.model_call(prompt, wanted) as hold:
            completion = hold.granted - prompt
            with self.recorder.timings.room("model"):
                reply = await ask_model(
                    planner.model,
                    conversation,
                    tools=[tool.declaration for tool in planner.tools],
                    # The last step allowed can only be an answer.
                    constraint=Constraint(tool_choice="none" if budget.last_step else "auto"),
                    settings=replace(planner.settings, max_tokens=completion),
                    call_prefix=f"{self.recorder.turn}.{budget.steps}",
                )
            hold.used = used_tokens(reply.usage, prompt=prompt, completion=completion)
        await self.recorder.replied(reply, budget.steps)
        return reply

    async def _commit(
        self, conversation: tuple[Message, ...], proposed: Sequence[ToolCallPart]
    ) -> Commitment:
        """Return what the request implies: asked for once a turn, before the first untrusted read
        (or the first call, where untrusted content stands in the conversation already).
        """
        if self.commitment is not None:
            return self.commitment
        if not needs_commitment(self.planner.tools, conversation, proposed):
            return Commitment()
        promised = await self.journal.once("commitment", partial(self._promise, conversation))
        self.budget.add_tokens(promised.tokens)
        self.commitment = promised.commitment
        return self.commitment

    async def _promise(self, conversation: tuple[Message, ...]) -> Promised:
        planner = self.planner
        wanted = self.budget.tokens_left(planner.settings.max_tokens)
        # The step shows the tools a second time, inside its own instructions.
        most = most_tokens(conversation, [tool.declaration for tool in planner.tools])
        prompt = 2 * most + _COMMIT_WORDS
        async with planner.gate.spending.model_call(prompt, wanted) as hold:
            completion = hold.granted - prompt
            with self.recorder.timings.room("model"):
                commitment, reply = await request_commitment(
                    planner.model,
                    conversation,
                    planner.tools,
                    settings=replace(planner.settings, max_tokens=completion),
                    call_prefix=f"{self.recorder.turn}.commit",
                )
            used = hold.used = used_tokens(reply.usage, prompt=prompt, completion=completion)
        await self.recorder.committed(commitment, reply)
        return Promised(commitment, used)

    async def _answer(self, conversation: tuple[Message, ...], reply: Reply) -> TurnResult:
        read = conversation[:-1]
        released = await self.texts.release(
            await self._admit("output", Boundary.MODEL_OUTPUT, reply.text, read), read
        )
        text = released.text
        conversation = (*read, Message.assistant(text, reply.message.label))
        sources = _read_sources(conversation)
        named = [str(source) for source in sources]
        receipt = await self.journal.once("receipt", partial(self.recorder.answer, released, named))
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
            citations=released.citations,
            findings=released.findings,
        )
        return TurnResult(answer, conversation)

    async def _admit(
        self, key: str, boundary: Boundary, text: str, conversation: Sequence[Message]
    ) -> str:
        admitted = await self.texts.admit(key, boundary, text, conversation)
        self.suspect = self.suspect or admitted.suspect
        return admitted.text


def _correction(problems: Sequence[str], conversation: Sequence[Message]) -> Message:
    text = "Your last message could not be used. " + " ".join(problems) + " Write it again."
    # A problem quotes what the model wrote, so it is worth no more than all that the model read.
    return Message("user", (TextPart(text, conversation_label(conversation)),))


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
