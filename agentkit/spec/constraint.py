"""Is an argument constraint a JSON Schema that will really constrain?

A constraint is a control, so everything that JSON Schema would silently ignore is refused.

What is covered: the 2020-12 meta-schema; unknown keywords (``maxLenght`` would never deny
anything); ``format`` (an annotation that checks nothing); patterns that are no regular expression;
``$ref`` that leaves the schema or leads nowhere.

What is not covered: schemas that refer to themselves without end (validating then raises, and the
gate has to deny); whether the properties named are those of the tool (startup compares them with
the tool's own schema), patterns that take long to match, schemas that nothing can satisfy.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

from jsonschema import Draft202012Validator
from pydantic import AfterValidator, Field, JsonValue

from agentkit.spec.problems import quoted
from agentkit.spec.section import Fault, faults
from agentkit.spec.suggest import closest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ArgumentSchema"]

_ONE = frozenset(
    [
        "items",
        "additionalProperties",
        "not",
        "if",
        "then",
        "else",
        "contains",
        "propertyNames",
        "unevaluatedItems",
        "unevaluatedProperties",
    ]
)
_LIST = frozenset(["allOf", "anyOf", "oneOf", "prefixItems"])
_NAMED = frozenset(["properties", "patternProperties", "dependentSchemas", "$defs"])
_EXPECTED = MappingProxyType(
    {
        "type": "one of string, number, integer, boolean, array, object, null",
        "required": 'a list of property names: ["code"]',
        "enum": 'a list of the allowed values: ["a", "b"]',
        "pattern": "a regular expression in quotes",
        "uniqueItems": "true or false",
        "multipleOf": "a number above 0",
        **dict.fromkeys(
            [
                "minLength",
                "maxLength",
                "minItems",
                "maxItems",
                "minProperties",
                "maxProperties",
                "minContains",
                "maxContains",
            ],
            "a whole number, 0 or more",
        ),
        **dict.fromkeys(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"], "a number"),
        **dict.fromkeys(_ONE, "a schema: a mapping, or true or false"),
        **dict.fromkeys(_LIST, "a list of schemas"),
        **dict.fromkeys(_NAMED, "a mapping from names to schemas"),
    }
)
_TYPES = ("string", "number", "integer", "boolean", "array", "object", "null")
_PYTHON_TYPES = MappingProxyType(
    {
        "str": "string",
        "int": "integer",
        "float": "number",
        "bool": "boolean",
        "list": "array",
        "dict": "object",
        "None": "null",
    }
)
_NOTES = frozenset(
    ["title", "description", "default", "examples", "const", "deprecated", "$comment"]
)
_KEYWORDS = frozenset({*_EXPECTED, *_NOTES, "$ref", "dependentRequired"})

_Path = tuple[str | int, ...]


def _check(schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
    found = [*_meta_faults(schema), *_keyword_faults(schema, (), schema)]
    if found:
        # the meta-schema and the walk may both dislike one place; one fault a place is enough
        raise faults(*{fault.at: fault for fault in reversed(found)}.values())
    return schema


def _meta_faults(schema: dict[str, JsonValue]) -> Iterator[Fault]:
    validator = Draft202012Validator(Draft202012Validator.META_SCHEMA)
    for error in validator.iter_errors(schema):
        at = tuple(error.absolute_path)
        keyword = next((str(step) for step in reversed(at) if step in _EXPECTED), "")
        expected = _EXPECTED.get(keyword, "a valid JSON Schema")
        shown = f", found the text {quoted(error.instance)}" if _is_text(error.instance) else ""
        yield Fault(
            f"is not valid JSON Schema: {keyword or 'this'} must be {expected}{shown}",
            _suggest_type(error.instance) or f"give {keyword or 'it'} {expected}",
            at,
        )


def _keyword_faults(schema: JsonValue, at: _Path, root: JsonValue) -> Iterator[Fault]:
    if not isinstance(schema, dict):
        return
    for keyword, value in schema.items():
        here = (*at, keyword)
        if keyword not in _KEYWORDS:
            yield _unknown(keyword, here)
        elif keyword == "$ref" and not _resolves(value, root):
            yield Fault(
                "is a $ref that leads nowhere inside this schema",
                'write "#/$defs/name", and define the name under $defs',
                here,
            )
        elif keyword == "pattern":
            yield from _pattern_faults(value, here, on_key=False)
        elif keyword == "patternProperties" and isinstance(value, dict):
            for name in value:
                yield from _pattern_faults(name, (*here, name), on_key=True)
        for step, inner in _inner_schemas(keyword, value):
            yield from _keyword_faults(inner, (*here, *step), root)


def _inner_schemas(keyword: str, value: JsonValue) -> Iterator[tuple[_Path, JsonValue]]:
    if keyword in _ONE:
        yield (), value
    elif keyword in _LIST and isinstance(value, list):
        yield from (((index,), item) for index, item in enumerate(value))
    elif keyword in _NAMED and isinstance(value, dict):
        yield from (((name,), item) for name, item in value.items())


def _unknown(keyword: str, at: _Path) -> Fault:
    if keyword == "format":
        return Fault(
            "format is an annotation in JSON Schema and checks nothing",
            "write a pattern instead, or enum",
            at,
            on_key=True,
        )
    near = closest(keyword, sorted(_KEYWORDS))
    return Fault(
        f"{quoted(keyword)} is no JSON Schema keyword that constrains anything",
        f'did you mean "{near}"?' if near else "names of arguments go under properties",
        at,
        on_key=True,
    )


def _pattern_faults(value: JsonValue, at: _Path, *, on_key: bool) -> Iterator[Fault]:
    if not isinstance(value, str):
        return
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        yield Fault(
            f"is no regular expression ({error}): {quoted(value)}",
            "correct it; single quotes keep backslashes as they are",
            at,
            on_key,
        )


def _resolves(reference: JsonValue, root: JsonValue) -> bool:
    if not isinstance(reference, str) or not re.fullmatch(r"#(/[^%]*)?", reference):
        return False
    target = root
    for step in reference.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(target, dict) or name not in target:
            return False
        target = target[name]
    return isinstance(target, dict | bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _suggest_type(value: object) -> str:
    if not isinstance(value, str):
        return ""
    near = _PYTHON_TYPES.get(value) or closest(value, _TYPES)
    return f'did you mean "{near}"?' if near else ""


ArgumentSchema = Annotated[
    dict[str, JsonValue],
    AfterValidator(_check),
    Field(json_schema_extra={"$ref": "https://json-schema.org/draft/2020-12/schema"}),
]
"""A JSON Schema (2020-12) for a tool's arguments object."""
