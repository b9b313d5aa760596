"""ChatML by examples, so that a 135M model (the embedded default) calls tools in it.

``<|im_start|>ROLE`` ⏎ TEXT ``<|im_end|>`` ⏎ for each message. What the wording rests on, measured
on the embedded model with questions other than the examples:

- Turns teach a small model, descriptions do not: shown as messages, the pattern question → call is
  followed; the same examples inside the system message are ignored.
- A pattern must not change half-way. So while a call is due, all examples are calls; once a tool
  has answered, they all are a result and a sentence that states it, and calls are left out.
- Code is written well as a fenced block and badly as a quoted argument. So the tool that runs code
  is called by a reply that is one fenced block and nothing else; other tools in JSON.

What is covered: text of any origin stands in ``Plain`` segments only; a fence inside other text is
no call, nor is one in a language that no declared tool is named after.

What is not covered: images; the tools' JSON Schemas, of which the model is shown one example (JSON
calls are constrained by the schema while decoding all the same, fenced code is free text).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from agentkit.errors import ModelError
from agentkit.messages import DocumentPagePart, TextPart, ToolCallPart, ToolResultPart
from agentkit.model.formats.fewshot_examples import (
    ANSWER_EXAMPLES,
    CODE_EXAMPLES,
    schema_examples,
)
from agentkit.model.prompt import Plain, Special
from agentkit.model.protocol import InvalidCallDelta, ToolCallDelta
from agentkit.model.toolcalls import CallSyntax, ParsedReply, parse_calls, render_calls

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from agentkit.messages import FunctionDeclaration, JsonObject, Message, Part
    from agentkit.model.prompt import Prompt, Segment
    from agentkit.model.protocol import Constraint

__all__ = ["FewShotFormat"]

_START: Final = "<|im_start|>"
_END: Final = "<|im_end|>"
_CALLING_CODE: Final = "You answer each question with Python that prints the answer."
_CALLING: Final = "You answer each request with a call of one of these tools:"
_ANSWERING: Final = "You state the result in one sentence."
_RESULT: Final = "The result is: "
_FAILURE: Final = "The tool failed: "
_FENCE_START: Final = re.compile(r"```(\w+)[ \t]*\r?\n")


@dataclass(frozen=True, slots=True)
class _Call:
    """A call of an example, as ``render_calls`` takes it."""

    name: str
    arguments: JsonObject


@dataclass(frozen=True, slots=True)
class FewShotFormat:
    """The embedded model's own; stronger models read ``ChatmlFormat``.

    ``code_tool``: the tool that a fenced block calls (its name is also the fence's language), with
    the code in ``code_parameter``.
    """

    name: ClassVar[str] = "chatml-few-shot"
    stop_tokens: ClassVar[tuple[str, ...]] = ("<|im_end|>", "<|endoftext|>")
    call_syntax: ClassVar[CallSyntax] = CallSyntax.JSON

    code_tool: str = "python"
    code_parameter: str = "code"

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[FunctionDeclaration],
        constraint: Constraint,
    ) -> Prompt:
        """Return the prompt, which ends after the assistant's header.

        Raises ``ModelError`` for an image: no model of this format reads any here.
        """
        answering = bool(messages) and messages[-1].role == "tool"
        calling = bool(tools) and constraint.tool_choice != "none" and not answering
        instructions = [m.text for m in messages if m.role == "system"]
        if answering:
            instructions.append(_ANSWERING)
        elif calling:
            instructions.append(self._declare(tools))
        segments = list(_turn("system", "\n".join(instructions))) if instructions else []
        if answering:
            for question, result, sentence in ANSWER_EXAMPLES:
                segments += _turn("user", question)
                segments += _turn("tool", _RESULT + result)
                segments += _turn("assistant", sentence)
        elif calling:
            for tool in tools:
                segments += self._call_examples(tool)
        for message in messages:
            if message.role != "system":
                segments += self._message(message, with_calls=not answering)
        return (*segments, Special(_START), Plain("assistant\n"))

    def parse(self, text: str, declared: Collection[str]) -> ParsedReply:
        """Read a whole reply: calls in JSON, one fenced block of code, or text."""
        reply = text.strip()
        for token in self.stop_tokens:
            reply = reply.removesuffix(token).rstrip()
        fence = _FENCE_START.match(reply)
        if fence is not None and fence[1] == self.code_tool and self.code_tool in declared:
            code, closed, rest = reply[fence.end() :].partition("```")
            if not closed:
                problem = "The code block is not closed: end it with a line of three backticks."
                return ParsedReply("", (InvalidCallDelta(text, problem),))
            if not rest.strip():
                call = ToolCallDelta(self.code_tool, {self.code_parameter: code.rstrip()})
                return ParsedReply("", (call,))
        parsed = parse_calls(reply, syntaxes=(CallSyntax.JSON,), declared=declared)
        return parsed if parsed.calls else ParsedReply(text)

    def _declare(self, tools: Sequence[FunctionDeclaration]) -> str:
        if all(tool.name == self.code_tool for tool in tools):
            return _CALLING_CODE
        return "\n".join([_CALLING, *(f"{tool.name}: {tool.description}" for tool in tools)])

    def _call_examples(self, tool: FunctionDeclaration) -> Iterator[Segment]:
        asked: list[tuple[str, JsonObject]] = (
            [(question, {self.code_parameter: code}) for question, code in CODE_EXAMPLES]
            if tool.name == self.code_tool
            else schema_examples(tool)
        )
        for question, arguments in asked:
            yield from _turn("user", question)
            yield from _turn("assistant", self._written([_Call(tool.name, arguments)]))

    def _message(self, message: Message, *, with_calls: bool) -> Iterator[Segment]:
        if message.role == "tool":
            for part in message.parts:
                yield from _turn("tool", _text(part))
            return
        text = "\n".join(_text(part) for part in message.parts if not _is_call(part))
        calls = self._written(message.calls) if message.calls and with_calls else ""
        if text or calls or not message.calls:
            yield from _turn(message.role, "\n".join(filter(None, (text, calls))))

    def _written(self, calls: Sequence[ToolCallPart | _Call]) -> str:
        """Write calls for the history: one call of code as its fence where it reads back."""
        code = calls[0].arguments.get(self.code_parameter)
        if len(calls) == 1 and calls[0].name == self.code_tool and isinstance(code, str):
            fenced = f"```{self.code_tool}\n{code}\n```"
            read = self.parse(fenced, {self.code_tool}).calls
            if read == (ToolCallDelta(self.code_tool, calls[0].arguments),):
                return fenced
        return render_calls(calls, self.call_syntax)


def _turn(role: str, text: str) -> tuple[Segment, ...]:
    return (Special(_START), Plain(f"{role}\n{text}"), Special(_END), Plain("\n"))


def _is_call(part: Part) -> bool:
    return isinstance(part, ToolCallPart)


def _text(part: Part) -> str:
    match part:
        case TextPart() | DocumentPagePart():
            return part.text
        case ToolResultPart():
            return (_FAILURE if part.is_error else _RESULT) + part.text.strip()
        case _:
            raise ModelError(
                "a message holds an image and the model reads text only",
                cure="load a multimodal checkpoint, or leave images out of the conversation",
            )
