"""Are the names in a tool's argument constraint the tool's own? A misspelt one constrains nothing.

What is covered: what ``properties``, ``required``, ``dependentRequired`` and ``dependentSchemas``
name, of the arguments themselves and of each object in them that takes no other names
(``additionalProperties: false``), also through ``$ref``.

What is not covered: objects in the arguments that take any name, or that may have one of several
shapes; names that only a pattern states.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from agentkit.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentkit.messages import JsonObject, JsonValue
    from agentkit.spec import LoadedSpec
    from agentkit.tools import Tool

__all__ = ["check_constraints"]

_Path: TypeAlias = tuple[str | int, ...]

_SAME_ONE = ("not", "if", "then", "else")
_SAME_LIST = ("allOf", "anyOf", "oneOf")
_ELEMENT = ("items", "contains", "unevaluatedItems")


def check_constraints(loaded: LoadedSpec, tools: Sequence[Tool]) -> None:
    """Raise ``SpecError`` at the first name in a constraint that is no parameter of its tool."""
    for tool in tools:
        stated = loaded.spec.tools[tool.name].arguments
        if stated is None:
            continue
        for at, name, known in _Names(stated, tool.parameters).strangers():
            raise SpecError(
                f"tools.{tool.name}.arguments: {tool.name} has no parameter {name!r}",
                cure=f"name one of: {', '.join(known) or 'it has none'}",
                place=loaded.place("tools", tool.name, "arguments", *at),
            )


class _Names:
    """The names in ``constraint``, held against ``parameters``, the tool's own schema."""

    def __init__(self, constraint: JsonObject, parameters: JsonObject) -> None:
        self._constraint = constraint
        self._parameters = parameters
        self._followed: set[tuple[str, int]] = set()

    def strangers(self) -> Iterator[tuple[_Path, str, list[str]]]:
        """Yield where each unknown name stands, the name, and the names known there."""
        return self._walk(self._constraint, (), self._parameters)

    def _walk(
        self, schema: JsonValue, at: _Path, shape: JsonValue
    ) -> Iterator[tuple[_Path, str, list[str]]]:
        shape = self._resolved(shape)
        if not isinstance(schema, dict) or shape is None:
            return
        known = self._known(shape)
        if known is not None:
            for where, name in _stated(schema):
                if name not in known:
                    yield (*at, *where), name, sorted(known)
        for step, inner, below in _inner(schema, shape):
            yield from self._walk(inner, (*at, *step), below)
        reference = schema.get("$ref")
        if isinstance(reference, str) and (reference, id(shape)) not in self._followed:
            self._followed.add((reference, id(shape)))
            yield from self._walk(_at(self._constraint, reference), _steps(reference), shape)

    def _known(self, shape: JsonObject) -> JsonObject | None:
        """Return the names that ``shape`` has; None where an object may have others too."""
        properties = shape.get("properties")
        closed = shape.get("additionalProperties") is False and "patternProperties" not in shape
        stated = shape is self._parameters and isinstance(properties, dict)
        if not closed and not stated:
            return None
        return properties if isinstance(properties, dict) else {}

    def _resolved(self, shape: JsonValue) -> JsonObject | None:
        """Return the one schema that ``shape`` refers to, null left aside; None for several."""
        followed: list[JsonValue] = []
        while isinstance(shape, dict) and shape not in followed:
            followed.append(shape)
            options = shape.get("anyOf")
            if isinstance(reference := shape.get("$ref"), str):
                shape = _at(self._parameters, reference)
            elif isinstance(options, list):
                rest = [option for option in options if option != {"type": "null"}]
                shape = rest[0] if len(rest) == 1 else None
            else:
                return shape
        return None


def _stated(schema: JsonObject) -> Iterator[tuple[_Path, str]]:
    for keyword in ("properties", "dependentSchemas", "dependentRequired"):
        names = schema.get(keyword)
        yield from (((keyword, name), name) for name in (names if isinstance(names, dict) else ()))
    dependent = schema.get("dependentRequired")
    lists: dict[_Path, JsonValue] = {("required",): schema.get("required")}
    for name, listed in dependent.items() if isinstance(dependent, dict) else ():
        lists["dependentRequired", name] = listed
    for at, listed in lists.items():
        for index, one in enumerate(listed if isinstance(listed, list) else ()):
            if isinstance(one, str):
                yield (*at, index), one


def _inner(schema: JsonObject, shape: JsonObject) -> Iterator[tuple[_Path, JsonValue, JsonValue]]:
    """Yield the schemas inside ``schema``: where, which, and what the tool says of the same."""
    own = shape.get("properties")
    for keyword, value in schema.items():
        if keyword in _SAME_ONE:
            yield (keyword,), value, shape
        elif keyword in _SAME_LIST and isinstance(value, list):
            yield from (((keyword, index), one, shape) for index, one in enumerate(value))
        elif keyword == "dependentSchemas" and isinstance(value, dict):
            yield from (((keyword, name), one, shape) for name, one in value.items())
        elif keyword == "properties" and isinstance(value, dict) and isinstance(own, dict):
            yield from (((keyword, name), one, own.get(name)) for name, one in value.items())
        elif keyword in _ELEMENT and "prefixItems" not in shape:
            yield (keyword,), value, shape.get("items")
        elif keyword == "prefixItems" and isinstance(value, list) and "prefixItems" not in shape:
            items = shape.get("items")
            yield from (((keyword, index), one, items) for index, one in enumerate(value))


def _steps(reference: str) -> tuple[str, ...]:
    """Return the keys that a local reference names, from the root of its schema."""
    steps = reference.removeprefix("#").split("/")[1:]
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in steps)


def _at(root: JsonObject, reference: str) -> JsonValue:
    """Return what ``reference`` leads to inside ``root``; None where it leads nowhere."""
    found: JsonValue = root if reference.startswith("#") else None
    for step in _steps(reference):
        found = found.get(step) if isinstance(found, dict) else None
    return found
