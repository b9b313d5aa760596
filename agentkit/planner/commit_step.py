"""The step in which the model says what the user's request implies, having read nothing untrusted.

The model is shown the trusted content of the conversation and one pseudo-tool, ``commit``, whose
schema names the allowed tools. It answers with one call. An answer that cannot be read commits to
nothing: every later effect of the turn is then asked about.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from jsonschema import Draft202012Validator

from agentkit.labels import Label, SourceKind
from agentkit.messages import FunctionDeclaration, Message, TextPart
from agentkit.model.protocol import Constraint
from agentkit.planner.commitment import Commitment, Committed
from agentkit.planner.provenance import conversation_label
from agentkit.planner.reply import ask_model
from agentkit.tools.declaration import Effect
from agentkit.tools.results import ResultFields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkit.messages import JsonObject, JsonValue, ToolCallPart
    from agentkit.model.protocol import ChatModel, GenerationSettings
    from agentkit.planner.reply import Reply
    from agentkit.tools.declaration import Tool

__all__ = [
    "COMMIT",
    "commit_declaration",
    "needs_commitment",
    "read_commitment",
    "request_commitment",
]

COMMIT: Final = "commit"
"""The name of the pseudo-tool."""

_MOST_CALLS = 100
_SCALAR: JsonObject = {"type": ["string", "number", "integer", "boolean"]}


def needs_commitment(
    tools: Sequence[Tool], conversation: Sequence[Message], proposed: Sequence[ToolCallPart]
) -> bool:
    """Whether a turn must commit itself before ``proposed`` run: some tool has an effect, and
    untrusted content has been read or is about to be.
    """
    if all(tool.effect is Effect.READ for tool in tools):
        return False
    about_to_read = {
        tool.name for tool in tools if tool.effect is Effect.READ and reads_untrusted(tool)
    }
    return not conversation_label(conversation).is_trusted or any(
        call.name in about_to_read for call in proposed
    )


def reads_untrusted(tool: Tool) -> bool:
    """Whether a tool's result can hold other people's words; a program may call any tool."""
    fields = isinstance(tool.returns, ResultFields)
    return tool.returns == "untrusted" or fields or tool.runs_programs


def commit_declaration(tools: Sequence[Tool]) -> FunctionDeclaration:
    """Return the pseudo-tool by which a model commits itself to calls of ``tools``."""
    parameters: JsonObject = {
        "type": "object",
        "properties": {
            "calls": {
                "type": "array",
                "maxItems": 32,
                "items": {"anyOf": [_entry_schema(tool) for tool in tools]},
            }
        },
        "required": ["calls"],
        "additionalProperties": False,
    }
    return FunctionDeclaration(
        COMMIT,
        "State every call that the user's request implies, reads and effects, before anything is"
        " read. objects: what the request itself fixes (whom, which, how much); leave out what it"
        " leaves open. count: at most how many such calls.",
        parameters,
    )


async def request_commitment(
    model: ChatModel,
    conversation: Sequence[Message],
    tools: Sequence[Tool],
    *,
    settings: GenerationSettings,
    call_prefix: str,
) -> tuple[Commitment, Reply]:
    """Ask the model what the request implies; only trusted content is shown.

    Raises ``ModelError`` where the model itself fails.
    """
    reply = await ask_model(
        model,
        (*_trusted(conversation), _instruction(tools)),
        tools=[commit_declaration(tools)],
        constraint=Constraint(tool_choice="required"),
        settings=replace(settings, temperature=0.0),
        call_prefix=call_prefix,
    )
    return read_commitment(reply, tools), reply


def read_commitment(reply: Reply, tools: Sequence[Tool]) -> Commitment:
    """Return what a reply commits to; nothing where it is anything but one valid call."""
    calls = reply.message.calls
    declaration = commit_declaration(tools)
    if len(calls) != 1 or calls[0].name != COMMIT or reply.problems:
        return Commitment()
    if not Draft202012Validator(declaration.parameters).is_valid(calls[0].arguments):
        return Commitment()
    stated = calls[0].arguments["calls"]
    entries = stated if isinstance(stated, list) else []
    return Commitment(tuple(_entry(entry) for entry in entries if isinstance(entry, dict)))


def _entry(entry: JsonObject) -> Committed:
    objects, count = entry.get("objects"), entry.get("count", 1)
    return Committed(
        str(entry["tool"]),
        objects if isinstance(objects, dict) else {},
        count if isinstance(count, int) else 1,
    )


def _entry_schema(tool: Tool) -> JsonObject:
    properties = tool.parameters.get("properties")
    names = [*properties] if isinstance(properties, dict) else []
    values: JsonValue = {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}, {"type": "null"}]}
    objects: JsonObject = {
        "type": "object",
        "properties": {name: values for name in names if tool.is_sensitive(name)},
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            "tool": {"const": tool.name},
            "objects": objects,
            "count": {"type": "integer", "minimum": 1, "maximum": _MOST_CALLS},
        },
        "required": ["tool", "objects", "count"],
        "additionalProperties": False,
    }


def _trusted(conversation: Sequence[Message]) -> tuple[Message, ...]:
    """Return what trusted parties said, and what the model said having read nothing else."""
    kept = []
    for message in conversation:
        parts = tuple(
            part
            for part in message.parts
            if isinstance(part, TextPart) and part.label.is_trusted and message.role != "tool"
        )
        if parts:
            kept.append(Message(message.role, parts))
    return tuple(kept)


def _instruction(tools: Sequence[Tool]) -> Message:
    listed = "\n".join(f"- {tool.name}: {tool.description}" for tool in tools)
    text = (
        "Before anything is read, state with one call of commit which of these tools my request"
        f" needs, on what, and how often. State nothing that I did not ask for.\n{listed}"
    )
    return Message("user", (TextPart(text, Label.trusted(SourceKind.OPERATOR, "planner")),))
