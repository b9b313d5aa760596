"""A tool's parameters as Cedar sees them: the type of each, and the value of each argument.

From the tool's own JSON Schema: text, whole numbers, numbers (Cedar's ``decimal``, four digits
after the point), booleans, lists of one of these (sets), and objects of such fields (records).

What is covered: a policy that names a parameter which is not there, or compares it with another
type, is refused when it is loaded. A value that its Cedar type cannot hold exactly raises
``UnfitValue``, and the call is denied.

What is not covered: parameters of several types at once and lists of objects have no Cedar type;
policies cannot name them.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentkit.messages import JsonObject, JsonValue

__all__ = ["CedarType", "Record", "Scalar", "SetOf", "UnfitValue", "encode", "parameter_types"]

Scalar: TypeAlias = Literal["String", "Long", "decimal", "Bool"]

_SCALARS: Mapping[str, Scalar] = MappingProxyType(
    {"string": "String", "integer": "Long", "number": "decimal", "boolean": "Bool"}
)
_DEPTH = 4
_LONGEST = 2**63
_UNIT = Decimal("0.0001")


class UnfitValue(ValueError):
    """A value that its Cedar type cannot hold exactly."""


@dataclass(frozen=True, slots=True)
class SetOf:
    """A list, whose order and repetitions Cedar does not see."""

    item: Scalar

    def __str__(self) -> str:
        return f"Set<{self.item}>"


@dataclass(frozen=True, slots=True)
class Record:
    """An object: field → its type and whether it is always there."""

    fields: Mapping[str, tuple[CedarType, bool]]

    def __str__(self) -> str:
        inside = ", ".join(
            f"{quote(name)}{'' if always else '?'}: {kind}"
            for name, (kind, always) in self.fields.items()
        )
        return f"{{{inside}}}"


CedarType: TypeAlias = Scalar | SetOf | Record


def parameter_types(schema: JsonObject, names: frozenset[str] | None = None) -> Record:
    """Return the record type of a tool's arguments object; ``names``: only these of them."""
    definitions = schema.get("$defs")
    record = _record(schema, definitions if isinstance(definitions, dict) else {}, _DEPTH)
    if names is None:
        return record
    kept = {name: field for name, field in record.fields.items() if name in names}
    return Record(MappingProxyType(kept))


def encode(value: JsonValue, kind: CedarType, name: str = "") -> JsonValue:
    """Return an argument as Cedar's JSON. Raises ``UnfitValue``; ``name`` says whose value."""
    match kind, value:
        case Record(fields), dict():
            return {
                field: encode(value[field], inner, field)
                for field, (inner, _) in fields.items()
                if value.get(field) is not None
            }
        case SetOf(item), list():
            return [encode(one, item, name) for one in value]
        case "String", str():
            return value
        case "Bool", bool():
            return value
        case "Long", int() | float() if not isinstance(value, bool):
            if value != int(value) or not -_LONGEST <= value < _LONGEST:
                raise UnfitValue(f"{name} is not a whole number of 64 bits")
            return int(value)
        case "decimal", int() | float() if not isinstance(value, bool):
            return {"__extn": {"fn": "decimal", "arg": decimal_text(value, name)}}
    raise UnfitValue(f"{name} has not the type that its schema says")


def decimal_text(value: float, name: str) -> str:
    """Return a number as Cedar writes decimals. Raises ``UnfitValue`` where it has no such form."""
    try:
        exact = Decimal(str(value))
        rounded = exact.quantize(_UNIT)
    except InvalidOperation:
        raise UnfitValue(f"{name} is too large for a decimal") from None
    if rounded != exact or abs(rounded / _UNIT) >= _LONGEST:
        raise UnfitValue(f"{name} has more than four digits after the point, or is too large")
    return f"{rounded:f}"


def quote(text: str) -> str:
    """Return ``text`` as a string of Cedar's."""
    return '"' + "".join(map(escape, text)) + '"'


def escape(char: str) -> str:
    """Return one character as it stands inside a string of Cedar's."""
    if char in '\\"':
        return "\\" + char
    return char if char.isprintable() else f"\\u{{{ord(char):x}}}"


def _record(schema: Mapping[str, JsonValue], definitions: JsonObject, depth: int) -> Record:
    properties = schema.get("properties")
    required = schema.get("required")
    always = required if isinstance(required, list) else []
    fields: dict[str, tuple[CedarType, bool]] = {}
    for name, described in (properties if isinstance(properties, dict) else {}).items():
        kind, nullable = _type(described, definitions, depth)
        if kind is not None:
            fields[name] = (kind, name in always and not nullable)
    return Record(MappingProxyType(fields))


def _type(schema: JsonValue, definitions: JsonObject, depth: int) -> tuple[CedarType | None, bool]:
    """Return a schema's type, None where Cedar has none, and whether null is admitted."""
    if not isinstance(schema, dict) or depth == 0:
        return None, False
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return _type(definitions.get(reference.removeprefix("#/$defs/")), definitions, depth - 1)
    branches = schema.get("anyOf", schema.get("oneOf"))
    if isinstance(branches, list):
        kept = [branch for branch in branches if branch != {"type": "null"}]
        kind = _type(kept[0], definitions, depth - 1)[0] if len(kept) == 1 else None
        return kind, len(kept) < len(branches)
    named = schema.get("type")
    names = named if isinstance(named, list) else [named]
    nullable = "null" in names
    kinds = [name for name in names if name != "null"]
    if len(kinds) != 1:
        return None, nullable
    if kinds[0] == "object" and schema.get("properties"):
        return _record(schema, definitions, depth - 1), nullable
    if kinds[0] == "array":
        item, holes = _type(schema.get("items"), definitions, depth - 1)
        plain = isinstance(item, str) and not holes
        return (SetOf(item) if plain and isinstance(item, str) else None), nullable
    return _SCALARS.get(str(kinds[0])), nullable
