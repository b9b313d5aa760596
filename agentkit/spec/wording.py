"""From what the schema rejects to problems in the file: where, what, and what to write instead.

pydantic names errors by type (``int_type``, ``missing``); here each becomes a sentence in the
reader's language, placed at the offending key or value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from agentkit.spec.keys import MODEL_SOURCES, suggest_key
from agentkit.spec.nodes import ListNode, MappingNode, Node, ScalarNode, find
from agentkit.spec.problems import Problem, quoted
from agentkit.spec.section import Fault
from agentkit.spec.suggest import closest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

    from agentkit.spec.section import Section

__all__ = ["explain"]

_Path = tuple[str | int, ...]

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing_size": "a whole number of at most 19 digits",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping of keys and values",
    "model_type": "a mapping of keys and values",
    "model_attributes_type": "a mapping of keys and values",
}
_EXAMPLES = {
    "version": "1",
    "name": "my-agent",
    "model": "{source: embedded}",
    "deployment": "and below it its principal",
    "principal": "and below it name, kind and country",
    "kind": "company",
    "country": '"NO"',
    "url": "https://models.example.no/v1",
    "id": "and the model's name on the server",
    "reviewer": "and who signed",
    "signed": "2026-10-01",
}
_RANGES = {
    "greater_than": ("gt", "above", "write a number above {}"),
    "greater_than_equal": ("ge", "at least", "write {} or more"),
    "less_than": ("lt", "below", "write a number below {}"),
    "less_than_equal": ("le", "at most", "write {} or less"),
}
_YES_OR_NO = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_SHAPES = {
    "a list": "write it as [a, b], or one item a line after a dash",
    "a mapping of keys and values": "write its keys on the next lines, indented by two spaces",
    "true or false": "write true or false, without quotes",
    "text": "write one text, not several values",
}


def explain(error: ErrorDetails, root: Node, schema: type[Section]) -> Iterator[Problem]:
    """Yield the problems behind one error of pydantic's.

    ``root`` is the tree of the file, ``schema`` what the whole file should be.
    """
    on_key = error["loc"][-1:] == ("[key]",)
    path = _without_tag(error["loc"][:-1] if on_key else error["loc"])
    kind, context = error["type"], error.get("ctx", {})
    if kind == "faults":
        for fault in context["faults"]:
            yield _place(root, path, fault, key=on_key)
    elif kind == "missing":
        yield _missing(root, path)
    elif kind == "union_tag_not_found":
        yield _missing_source(root, path)
    elif kind == "extra_forbidden":
        message, fix = suggest_key(path, root, schema)
        yield _place(root, path, Fault(message, fix, on_key=True), name=False)
    else:
        if kind == "union_tag_invalid":
            path = (*path, "source")
        _, node = find(root, path)
        yield _place(root, path, _fault(kind, context, node))


def _fault(kind: str, context: dict[str, Any], node: Node) -> Fault:
    found = _found(node)
    if kind in _RANGES:
        name, words, fix = _RANGES[kind]
        limit = context[name]
        limit = int(limit) if limit == int(limit) else limit
        return Fault(f"must be {words} {limit:,}, found {found}", fix.format(limit))
    if kind in ("literal_error", "enum", "union_tag_invalid"):
        listed = context["expected_tags"] if kind == "union_tag_invalid" else context["expected"]
        allowed = re.findall(r"'([^']*)'", listed)
        hint = closest(node.text, allowed) if isinstance(node, ScalarNode) else ""
        fix = f'did you mean "{hint}"?' if hint else f"write one of {', '.join(allowed)}"
        return Fault(f"must be one of {', '.join(allowed)}; found {found}", fix)
    if kind in ("too_long", "string_too_long"):
        return Fault(f"has more than {context['max_length']:,} entries or characters", "shorten it")
    if kind in ("too_short", "string_too_short"):
        return Fault("is empty", "give at least one entry, or leave the key out")
    expected = _EXPECTED.get(kind, "a valid value")
    return Fault(f"must be {expected}, found {found}", _shape_fix(expected, node))


def _shape_fix(expected: str, node: Node) -> str:
    is_scalar = isinstance(node, ScalarNode)
    text = node.text if isinstance(node, ScalarNode) else ""
    if is_scalar and node.plain() is None and expected != "a mapping of keys and values":
        return f"write {expected} after the colon"
    if "number" in expected:
        return _number_fix(expected, text)
    if expected == "text" and text:
        return f'put it in quotes: "{text}"'
    if expected == "true or false" and text.lower() in _YES_OR_NO:
        return f"write {_YES_OR_NO[text.lower()]}"
    if expected.startswith("a mapping") and isinstance(node, ListNode):
        return "write keys with a colon in place of the dashes or brackets"
    if expected == "a list" and text:
        return f"write it as a list: [{text}]"
    return _SHAPES.get(expected, "look the key up in docs/agent-yaml.md")


def _number_fix(expected: str, text: str) -> str:
    if re.fullmatch(r"[-+]?[0-9]+", text):
        return f"remove the quotes: {text}"
    if "whole" in expected and re.fullmatch(r"[-+]?[0-9]+\.[0-9]*", text):
        return f"write it without a fraction: {text.split('.', maxsplit=1)[0]}"
    if re.fullmatch(r"[0-9][0-9 _,.]*", text):
        return f"write digits only: {re.sub('[ _,.]', '', text)}"
    if with_unit := re.fullmatch(r"([0-9]+) ?[A-Za-z%]+", text):
        return f"write the number alone, the key names its unit: {with_unit[1]}"
    return f"write {expected}, such as 8"


def _missing(root: Node, path: _Path) -> Problem:
    name = str(path[-1])
    fault = Fault(f'the key "{name}" is missing', _missing_fix(name), on_key=True)
    return _place(root, path[:-1], fault)


def _missing_source(root: Node, path: _Path) -> Problem:
    allowed = ", ".join(MODEL_SOURCES)
    fault = Fault('the key "source" is missing', f"add source: one of {allowed}", on_key=True)
    return _place(root, path, fault)


def _missing_fix(name: str) -> str:
    return f"add {name}: {_EXAMPLES.get(name, '…')}"


def _place(
    root: Node, path: _Path, fault: Fault, *, key: bool = False, name: bool = True
) -> Problem:
    """Return the problem of ``fault``; its message begins with the dotted path if ``name``."""
    full = (*path, *fault.at)
    mark, node = find(root, full)
    on_value = not (fault.on_key or key) and not _is_blank(node)
    at = node.mark if on_value else mark
    label = dotted(full) if name else ""
    text = ""
    if on_value and isinstance(node, ScalarNode) and not _may_hold_secret(full):
        text = node.text
    if not on_value and full and isinstance(full[-1], str):
        text = full[-1]
    message = f"{label}: {fault.message}" if label else fault.message
    return Problem(at.line, at.column, text, message, fault.fix)


def _is_blank(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.text == "" and node.value is None


def _may_hold_secret(path: _Path) -> bool:
    """Whether what stands there is never shown: a key, or a URL with a password or key in it."""
    return "api_key" in path or "url" in path


def _found(node: Node) -> str:
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, ListNode):
        return "a list"
    if node.value is None:
        return "nothing"
    if isinstance(node.value, str):
        return f"the text {quoted(node.text)}"
    return node.text


def dotted(path: _Path) -> str:
    """Return a path as people write it: ``guards.user_input[2]``."""
    text = ""
    for step in path:
        name = f"[{step}]" if isinstance(step, int) else step or '""'
        text += name if isinstance(step, int) or not text else f".{name}"
    return text


def _without_tag(location: _Path) -> _Path:
    """Drop the union's tag that pydantic puts into the paths below ``model``."""
    if location[:1] == ("model",) and location[1:2] and location[1] in MODEL_SOURCES:
        return ("model", *location[2:])
    return location
