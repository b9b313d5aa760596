"""One turn on a terminal: each step with its decision, the sandbox's output, the answer.

Everything that a model, a tool or a user wrote stands behind a bar, cleaned of control characters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.status import Status

from agentkit.cli.screen import decided
from agentkit.cli.untrusted import clean, one_line
from agentkit.guards import Action, Boundary
from agentkit.planner import (
    ApprovalGiven,
    CallFinished,
    CallRuled,
    ContentJudged,
    ModelReplied,
    Outcome,
    StepStarted,
)

if TYPE_CHECKING:
    from agentkit.cli.screen import Screen
    from agentkit.messages import ToolCallPart
    from agentkit.planner import Answer, TurnEvent

__all__ = ["TurnView", "show_answer"]

_SHOWN_LINES = 30


class TurnView:
    """Shows the events of turns. ``tier``: where tools that run code run."""

    def __init__(self, screen: Screen, tier: str) -> None:
        self._screen = screen
        self._tier = tier
        self._waiting: Status | None = None
        self._result: ContentJudged | None = None

    def __call__(self, event: TurnEvent) -> None:
        """Show one event."""
        self.settle()
        match event:
            case StepStarted():
                self._screen.title(f"Step {event.step}")
                self._wait()
            case ModelReplied():
                self._replied(event)
            case CallRuled():
                self._ruled(event)
            case ApprovalGiven():
                self._approved(event)
            case CallFinished():
                self._finished(event)
            case ContentJudged(boundary=Boundary.TOOL_RESULT):
                self._result = event  # told right before the result that it judges
            case ContentJudged():
                self._judged(event)

    def settle(self) -> None:
        """Take away the sign that the model is at work."""
        if self._waiting is not None:
            self._waiting.stop()
            self._waiting = None

    def _wait(self) -> None:
        if self._screen.is_interactive:
            self._waiting = Status("the model is at work", console=self._screen.err)
            self._waiting.start()

    def _judged(self, event: ContentJudged) -> None:
        judgement = event.judgement
        where = event.boundary.value.replace("_", " ")
        if judgement.action is Action.ALLOW:
            found = ", ".join(verdict.detector for verdict in judgement.verdicts)
        else:
            found = f"{judgement.decisive.detector}: {judgement.decisive.reason}"
        self._screen.row("guards", decided(judgement.action.value, f"{where}: {found}"))

    def _replied(self, event: ModelReplied) -> None:
        usage = event.usage
        what = f"{len(event.calls)} call{'s' * (len(event.calls) != 1)}" if event.calls else "text"
        seconds = usage.prefill_s + usage.decode_s
        spent = f"{usage.prompt_tokens} tokens read, {usage.completion_tokens} written"
        self._screen.row("model", f"{what}; {spent}" + (f", {seconds:.1f} s" if seconds else ""))
        for problem in event.problems:
            self._screen.row("repair", one_line(problem, 400), style="yellow")

    def _ruled(self, event: CallRuled) -> None:
        screen, final = self._screen, event.ruling.final
        screen.row("call", f"{event.call.call_id} {one_line(event.call.name)}")
        self._arguments(event.call)
        if final.outcome is Outcome.ALLOW:
            rules = ", ".join(decision.rule for decision in event.ruling.trail)
            screen.row("gate", decided(final.outcome.value, f"by {rules}"))
            return
        screen.row("gate", decided(final.outcome.value, f"rule {final.rule}: {final.reason}"))
        for item in final.evidence:
            screen.row("", f"{one_line(item.path)} = {one_line(item.value)} from {item.origin}")
        if final.cure:
            screen.row("", f"what would change it: {one_line(final.cure, 400)}")

    def _arguments(self, call: ToolCallPart) -> None:
        for name, value in sorted(call.arguments.items()):
            text = clean(str(value))
            if "\n" in text or len(call.arguments) == 1:
                self._screen.block(text, lines=_SHOWN_LINES)
            else:
                self._screen.block(f"{name}: {text}", lines=_SHOWN_LINES)

    def _approved(self, event: ApprovalGiven) -> None:
        approval = event.approval
        word = "approved" if approval.approved else "refused"
        who = f"by {approval.approver} " if approval.approver else ""
        self._screen.row("person", decided(word, f"{who}{approval.comment}"))

    def _finished(self, event: CallFinished) -> None:
        if not event.ran:
            return  # the gate's line said why
        where = f"{self._tier} tier" if event.call.name == "python" else "in this process"
        line = decided(
            "error" if event.result.is_error else "ok",
            f"{where}, {event.elapsed_s:.2f} s, call {event.call.call_id}",
        )
        self._screen.row("sandbox" if event.call.name == "python" else "tool", line)
        self._screen.block(event.result.text, lines=_SHOWN_LINES)
        if self._result is not None:
            self._judged(self._result)
            self._result = None


def show_answer(screen: Screen, answer: Answer) -> None:
    """Show the answer, what it rests on, and the proof that it was recorded."""
    screen.title("Answer")
    screen.block(answer.text, indent=2)
    screen.out.print()
    sources = ", ".join(one_line(str(source)) for source in answer.sources)
    screen.row("sources", sources or "none but the user's words and the instructions")
    for number, one in enumerate(answer.citations, start=1):
        quoted = one_line(answer.text[one.start : one.end], 100)
        screen.row(f"quoted {number}", f"“{quoted}” are the words of {one.source}")
    for found in answer.findings:
        state = decided(found.action, f"{found.what} from {found.origin or 'the answer itself'}")
        screen.row("output", state)
    receipt = answer.receipt
    screen.row("receipt", f"record {receipt.index}, leaf {receipt.leaf_hash}")
    spent = {room: sum(seconds) for room, seconds in answer.seconds.items()}
    rooms = ", ".join(f"{room} {seconds:.2f} s" for room, seconds in spent.items())
    screen.row("time", rooms)
