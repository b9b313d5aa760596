"""What every source of training examples returns."""

from __future__ import annotations

from dataclasses import dataclass, field

from agentkit.messages import FunctionDeclaration, JsonObject, JsonValue

__all__ = ["Call", "Task", "declare", "join_name", "parameter"]

_CAMEL, _DOTTED, _HYPHENS = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Call:
    """A call and what comes back for it."""

    tool: FunctionDeclaration
    arguments: JsonObject
    result: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """A request, the rounds of calls that serve it, and the answer.

    Calls of one round are made in one reply. No rounds: the request is answered in words.
    ``topic`` tells tasks that the same tool could serve; a scene holds no second tool of a topic.
    """

    topic: str
    request: str
    rounds: tuple[tuple[Call, ...], ...]
    answer: str
    values: tuple[str, ...] = field(default=())


def parameter(kind: str, description: str = "", choices: list[str] | None = None) -> JsonObject:
    """Return one parameter's schema; ``strings`` and ``integers`` are arrays."""
    schema: JsonObject
    if kind in {"strings", "numbers"}:
        schema = {"type": "array", "items": {"type": kind[:-1]}}
    else:
        schema = {"type": kind}
    if choices:
        listed: list[JsonValue] = list(choices)
        schema["enum"] = listed
    if description:
        schema["description"] = description
    return schema


def declare(
    name: str, description: str, parameters: dict[str, JsonObject], optional: frozenset[str]
) -> FunctionDeclaration:
    """Return a declaration, its schema closed."""
    return FunctionDeclaration(
        name,
        description,
        {
            "type": "object",
            "properties": dict(parameters),
            "required": [key for key in parameters if key not in optional],
            "additionalProperties": False,
        },
    )


def join_name(words: list[str], style: int) -> str:
    """Join the words of a name: snake_case, camelCase, or with a dot or hyphens between them."""
    flat = [part for word in words for part in word.split()]
    if style == _CAMEL:
        return flat[0] + "".join(part.capitalize() for part in flat[1:])
    if style == _DOTTED:
        return ".".join([flat[0], "_".join(flat[1:])]) if len(flat) > 1 else flat[0]
    return ("-" if style == _HYPHENS else "_").join(flat)
