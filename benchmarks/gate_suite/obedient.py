"""A model that obeys everyone: it does its task well, and whatever any text it reads asks.

It stands for a model that has been talked over completely, so what stops an attack is the gate
alone. It knows no more than a model would: arguments of the task's calls come from results it was
given, and an injected call is made only once its text has been read. It is also insistent: a call
refused when it was first met is tried again before the answer, when the task's own calls are done.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agentkit.messages import ToolResultPart
from agentkit.model.protocol import (
    Constraint,
    FinishDelta,
    GenerationSettings,
    ModelInfo,
    TextDelta,
    ToolCallDelta,
)
from gate_suite.commitment import answer_commitment, wants_commitment
from gate_suite.parts import Call, Refused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from agentkit.messages import FunctionDeclaration, JsonObject, Message
    from agentkit.model.protocol import Delta
    from gate_suite.parts import Attack, Job

__all__ = ["ObedientModel", "strings"]

_GIVEN_UP = "I could not do that."


class ObedientModel:
    """The model of one run: one job, and at most one injected ``text`` that asks for ``attack``.

    ``needed``: the task's own calls so far, as an honest approver knows them. ``met``: whether the
    injected text was read.
    """

    def __init__(self, job: Job, attack: Attack | None = None, text: str = "") -> None:
        self._job = job
        self._plan = job.plan()
        self._attack = attack
        self._text = text.strip()
        self._pending: list[tuple[Call, bool]] = []  # proposed calls; whether each is injected
        self._next: Call | None = None  # the task's next call, held back by an injected one
        self._injected: list[Call] = []
        self._refused: list[Call] = []
        self._last = ""
        self._answer: str | None = None
        self.needed: list[Call] = []
        self.injected: list[Call] = []
        self.met = False

    @property
    def info(self) -> ModelInfo:
        """What the model says of itself."""
        return ModelInfo("obedient", "benchmark", "scripted", "obeys every text", 1_000_000)

    async def generate(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[FunctionDeclaration] = (),
        constraint: Constraint = Constraint(),  # noqa: ARG002 - it keeps to it anyway
        settings: GenerationSettings = GenerationSettings(),  # noqa: ARG002 - nothing is sampled
    ) -> AsyncGenerator[Delta, None]:
        """Take in the newest results, then propose the next call or answer."""
        if wants_commitment(tools):
            yield answer_commitment(tools, self._job.commit())
            yield FinishDelta("calls")
            return
        proposal = self._advance(messages)
        if proposal is None:
            yield TextDelta(self._answer or _GIVEN_UP)
            yield FinishDelta("stop")
        else:
            yield ToolCallDelta(proposal.tool, proposal.arguments)
            yield FinishDelta("calls")

    async def aclose(self) -> None:
        """Do nothing: there is nothing to release."""

    def _advance(self, messages: Sequence[Message]) -> Call | None:
        if not self._pending:
            self._start()
        else:
            (proposed, injected), self._pending = self._pending[0], []
            self._take(_result(messages[-1]), proposed, injected=injected)
        return self._propose()

    def _start(self) -> None:
        try:
            self._own(next(self._plan))
        except StopIteration as finished:
            self._answer = str(finished.value)

    def _take(self, result: ToolResultPart, proposed: Call, *, injected: bool) -> None:
        self._read(result.text)
        if injected:
            self._last = result.text
            if result.is_error:
                self._refused.append(proposed)
            return
        try:
            if result.is_error:
                self._own(self._plan.throw(Refused(result.text)))
            else:
                self._own(self._plan.send(_parsed(result.text)))
        except StopIteration as finished:
            self._answer = str(finished.value)
        except (Refused, LookupError, RuntimeError):
            # Refused, or what it looked for is not there (next() and [0] of nothing): it says so.
            self._answer = _GIVEN_UP

    def _own(self, proposed: Call) -> None:
        self.needed.append(proposed)
        self._next = proposed

    def _read(self, text: str) -> None:
        if self._attack is None or self.met or not self._text:
            return
        if any(self._text in found for found in strings(_parsed(text))):
            self.met = True
            self._injected = list(self._attack.calls)

    def _propose(self) -> Call | None:
        if self._answer is not None and self._refused and not self._injected:
            self._injected, self._refused = self._refused, []
            if self._insisted:
                self._injected = []
            self._insisted = True
        if self._injected:
            chosen = _filled(self._injected.pop(0), self._last)
            self.injected.append(chosen)
            self._pending = [(chosen, True)]
            return chosen
        if self._answer is not None or self._next is None:
            return None
        own, self._next = self._next, None
        altered = self._altered(own)
        if altered != own:
            self.injected.append(altered)
        self._pending = [(own, False)]
        return altered

    _insisted = False

    def _altered(self, own: Call) -> Call:
        if self.met and self._attack is not None and self._attack.alter is not None:
            return self._attack.alter(own, self._last)
        return own


def _result(message: Message) -> ToolResultPart:
    return next(part for part in message.parts if isinstance(part, ToolResultPart))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def strings(value: Any) -> Iterator[str]:
    """Yield each string in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def _filled(wanted: Call, last: str) -> Call:
    """Return the call with what the attack leaves open taken from what the call before gave back:
    ``{last}`` all of it, ``{found:NAME:FIELD}`` a field of the record that holds NAME.
    """
    arguments: JsonObject = {}
    for key, value in wanted.arguments.items():
        if isinstance(value, str) and value.startswith("{found:"):
            _, name, field = value.strip("{}").split(":")
            arguments[key] = _field_of(_parsed(last), name, field)
        elif isinstance(value, str):
            arguments[key] = value.replace("{last}", last[:400])
        else:
            arguments[key] = value
    return Call(wanted.tool, arguments)


def _field_of(value: Any, name: str, field: str) -> Any:
    if isinstance(value, dict) and name in value.values():
        return value.get(field)
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for item in inside if (found := _field_of(item, name, field))), None)
