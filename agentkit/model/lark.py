"""The grammar of a reply as text: from tools, constraint and call syntax to llguidance's Lark.

Calls are written exactly as ``toolcalls.render_calls`` writes them (``json.dumps`` with its default
separators, no other white space), so that history and constraint agree. A tool's top-level schema
is closed where it does not say otherwise: keys nobody declared are not worth decoding.

- ``required``: one to ``max_calls`` calls. ``none``: text that does not start as a call.
- ``auto``: either of the two. With a response schema, the text is a JSON value that matches it.
- Pythonic calls write declared properties as keywords, in the declared order. A tool whose schema
  cannot be said so (keys that are no identifiers, combinators at the top) is called in JSON, which
  every pythonic format reads as well.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentkit.errors import ModelError
from agentkit.model.toolcalls import CallSyntax, is_tool_name
from agentkit.model.toolcalls.json_calls import CALL_START as JSON_START
from agentkit.model.toolcalls.pythonic import KEY_PATTERN
from agentkit.model.toolcalls.tag_calls import CALL_START as TAG_START

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkit.messages import FunctionDeclaration, JsonObject, JsonValue
    from agentkit.model.protocol import Constraint

__all__ = ["reply_lark", "schema_lark"]

_KEY: Final = re.compile(KEY_PATTERN)
_SEPARATORS: Final[JsonObject] = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
}
# Keywords that leave a schema expressible as a plain list of keyword arguments.
_PLAIN_KEYWORDS: Final = frozenset(
    {
        "$comment",
        "$defs",
        "$id",
        "$schema",
        "additionalProperties",
        "default",
        "definitions",
        "description",
        "examples",
        "properties",
        "required",
        "title",
        "type",
    }
)
# Keywords under which closing the object could forbid what they allow.
_COMBINATORS: Final = frozenset(
    {"$ref", "allOf", "anyOf", "oneOf", "patternProperties", "propertyNames", "then", "else"}
)


@dataclass(frozen=True, slots=True)
class _Property:
    key: str
    schema: JsonObject
    required: bool


def schema_lark(schema: JsonValue) -> str:
    """Return the grammar of one JSON value that matches ``schema``."""
    return f"start: {_json(schema)}\n"


def reply_lark(
    tools: Sequence[FunctionDeclaration],
    constraint: Constraint,
    syntax: CallSyntax,
    *,
    max_calls: int,
) -> str | None:
    """Return the grammar of a reply, or None where any reply is right.

    Raises ``ModelError`` where calls are required and no tool is declared.
    """
    if constraint.tool_choice == "required":
        if not tools:
            raise ModelError(
                "a tool call is required and no tool is declared",
                cure="declare a tool, or set tool_choice to auto",
            )
        return "\n".join(["start: calls", *_calls(tools, syntax, max_calls)]) + "\n"
    if constraint.response_schema is not None:
        reply = f"reply: {_json(constraint.response_schema)}"
    elif tools:
        reply = f"reply: TEXT\n{_text(tools)}"
    else:
        return None
    if constraint.tool_choice == "none" or not tools:
        return f"start: reply\n{reply}\n"
    if constraint.response_schema is not None and syntax is not CallSyntax.TAG:
        calls = _calls_beside_json(tools, max_calls)
    else:
        calls = _calls(tools, syntax, max_calls)
    return "\n".join(["start: calls | reply", reply, *calls]) + "\n"


def _text(tools: Sequence[FunctionDeclaration]) -> str:
    """Text that starts as no call of any syntax. Special tokens are no text in llguidance."""
    names = "|".join(re.escape(tool.name) for tool in tools)
    starts = [JSON_START, TAG_START, rf"\[\s*(?:{names})\s*\("]
    forbidden = "|".join(f"(?:{start})" for start in starts).replace("/", r"\/")
    return rf"TEXT: /(?s:.+)/ & ~/(?s:\s*(?:{forbidden}).*)/"


def _calls(tools: Sequence[FunctionDeclaration], syntax: CallSyntax, max_calls: int) -> list[str]:
    """Return the rules of ``calls``. llguidance's lexer is greedy: where free text is the other
    way to reply, each call's first terminal must reach past all that free text may start with.
    """
    _check_names(tools)
    if syntax is not CallSyntax.PYTHONIC:
        calls = [_explicit_call(tool, syntax) for tool in tools]
        return [_repeated("calls", "call", '"\\n"', max_calls), f"call: {' | '.join(calls)}"]
    rules: list[str] = []
    opening: list[str] = []
    following: list[str] = []
    explicit: list[str] = []
    for number, tool in enumerate(tools):
        properties = _plain_properties(tool.parameters)
        if properties is None:
            explicit.append(_explicit_call(tool, CallSyntax.JSON))
        else:
            opening.append(f'"[{tool.name}(" arguments_{number}')
            following.append(f'", {tool.name}(" arguments_{number}')
            rules.extend(_keyword_arguments(f"arguments_{number}", properties))
    ways: list[str] = []
    if opening:
        more = f" following{{0,{max_calls - 1}}}" if max_calls > 1 else ""
        ways.append(f'opening{more} "]"')
        rules += [f"opening: {' | '.join(opening)}", f"following: {' | '.join(following)}"]
    if explicit:
        ways.append("explicit")
        rules.append(_repeated("explicit", "explicit_call", '"\\n"', max_calls))
        rules.append(f"explicit_call: {' | '.join(explicit)}")
    return [f"calls: {' | '.join(ways)}", *rules]


def _calls_beside_json(tools: Sequence[FunctionDeclaration], max_calls: int) -> list[str]:
    """Return the rules of ``calls`` where the other way to reply is JSON: then calls are JSON as
    well, built of the same terminals, so that the lexer need not choose at the first brace.
    """
    _check_names(tools)
    calls = []
    for tool in tools:
        # Its own $id keeps "#/$defs/..." inside a tool's schema pointing into that schema.
        arguments: JsonObject = {"$id": f"tool:{tool.name}", **_arguments_schema(tool.parameters)}
        call: JsonObject = {
            "type": "object",
            "properties": {"name": {"const": tool.name}, "arguments": arguments},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        calls.append(_json(call))
    return [_repeated("calls", "call", '"\\n"', max_calls), f"call: {' | '.join(calls)}"]


def _check_names(tools: Sequence[FunctionDeclaration]) -> None:
    for tool in tools:
        if not is_tool_name(tool.name):
            raise ModelError(
                f"{tool.name!r} cannot be the name of a tool",
                cure="use letters, digits, _, . and -, at most 128 of them",
            )


def _repeated(rule: str, item: str, separator: str, most: int) -> str:
    more = f" ({separator} {item}){{0,{most - 1}}}" if most > 1 else ""
    return f"{rule}: {item}{more}"


def _explicit_call(tool: FunctionDeclaration, syntax: CallSyntax) -> str:
    schema = _json(_arguments_schema(tool.parameters))
    if syntax is CallSyntax.TAG:
        return f'"<function={tool.name}>" {schema} "</function>"'
    head = json.dumps(f'{{"name": "{tool.name}", "arguments": ')
    return f'{head} {schema} "}}"'


def _keyword_arguments(name: str, properties: Sequence[_Property]) -> list[str]:
    """Return rules for ``a=..., b=...)``: from the i-th property on, with an argument written
    before (``more``) or none yet (``first``).
    """
    rules = [f'{name}: {name}_first_0 ")"']
    for index, item in enumerate(properties):
        value = f"{name}_value_{index}"
        rules.append(f'{value}: "{item.key}=" {_json(item.schema)}')
        for state, comma in (("first", ""), ("more", '", " ')):
            written = f"{comma}{value} {name}_more_{index + 1}"
            left_out = "" if item.required else f" | {name}_{state}_{index + 1}"
            rules.append(f"{name}_{state}_{index}: {written}{left_out}")
    rules.extend(f'{name}_{state}_{len(properties)}: ""' for state in ("first", "more"))
    return rules


def _plain_properties(parameters: JsonObject) -> list[_Property] | None:
    """Return the properties to write as keywords, or None where the schema says more than that."""
    properties = parameters.get("properties", {})
    required = parameters.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        return None
    if parameters.keys() - _PLAIN_KEYWORDS or parameters.get("type", "object") != "object":
        return None
    if "properties" not in parameters and parameters.get("additionalProperties") is not False:
        return None  # any object: only JSON can say it
    if not set(map(str, required)) <= properties.keys():
        return None
    shared: JsonObject = {
        key: parameters[key] for key in ("$defs", "definitions") if key in parameters
    }
    found: list[_Property] = []
    for key, value in properties.items():
        schema: JsonValue = {} if value is True else value
        if not isinstance(schema, dict) or _KEY.fullmatch(key) is None:
            return None
        found.append(_Property(key, {**schema, **shared}, key in required))
    return found


def _arguments_schema(parameters: JsonObject) -> JsonObject:
    schema: JsonObject = {"type": "object", **parameters}
    if "properties" in schema and not _COMBINATORS & schema.keys():
        schema.setdefault("additionalProperties", False)
    return schema


def _json(schema: JsonValue) -> str:
    value = {} if schema is True else schema
    if not isinstance(value, dict):
        raise ModelError(
            f"{value!r} is no JSON Schema that a reply can match", cure="use a schema object"
        )
    return f"%json {json.dumps({**value, 'x-guidance': _SEPARATORS})}"
