"""An argument constraint that names what its tool does not have would never deny anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentkit.errors import SpecError
from agentkit.spec import load_spec
from agentkit.startup import check_constraints, declared_tools
from tests.startup.test_gate import begin, specification

if TYPE_CHECKING:
    from pathlib import Path

TOOLS = '''
from pydantic import BaseModel, ConfigDict

from agentkit.tools import tool


class Address(BaseModel):
    model_config = ConfigDict(extra="forbid")
    city: str


class Note(BaseModel):
    text: str


@tool(effect="read")
def send(to: list[Address], by: Address | None = None, note: Note | None = None) -> str:
    """Send something."""
    return ""
'''


def check(folder: Path, arguments: str, tool: str = "send: {function: mine:send, ") -> None:
    (folder / "mine.py").write_text(TOOLS)
    loaded = load_spec(specification(folder, rest=f"tools: {{{tool}arguments: {arguments}}}}}"))
    check_constraints(loaded, declared_tools(loaded))


@pytest.mark.parametrize(
    "arguments",
    [
        "{properties: {too: {maxItems: 1}}}",
        "{required: [to, bye]}",
        "{dependentRequired: {to: [bye]}}",
        "{anyOf: [{required: [by]}, {not: {required: [bye]}}]}",
        "{properties: {to: {items: {properties: {sity: {const: Oslo}}}}}}",
        "{properties: {by: {required: [sity]}}}",
        "{$ref: '#/$defs/it', $defs: {it: {properties: {by: {properties: {sity: false}}}}}}",
    ],
)
def test_a_name_that_the_tool_does_not_have_is_refused(tmp_path: Path, arguments: str) -> None:
    with pytest.raises(SpecError, match="send has no parameter") as refused:
        check(tmp_path, arguments)
    assert refused.value.place.startswith(f"{tmp_path}/agent.yaml:9:")
    assert refused.value.cure in {"name one of: by, note, to", "name one of: city"}


@pytest.mark.parametrize(
    "arguments",
    [
        "{properties: {to: {items: {properties: {city: {const: Oslo}}, required: [city]}}}}",
        "{properties: {note: {properties: {more: {maxLength: 4}}}}, maxProperties: 2}",
        "{$ref: '#/$defs/it', $defs: {it: {required: [by], allOf: [{$ref: '#/$defs/it'}]}}}",
    ],
)
def test_names_that_the_tool_has_or_may_have_pass(tmp_path: Path, arguments: str) -> None:
    check(tmp_path, arguments)


def test_startup_refuses_it_too(tmp_path: Path) -> None:
    rest = "tools:\n  python:\n    arguments:\n      properties:\n        cod: {maxLength: 4}"
    with pytest.raises(SpecError) as refused:
        begin(specification(tmp_path, rest=rest))
    assert refused.value.place == f"{tmp_path}/agent.yaml:13:9"
    assert refused.value.message.endswith("python has no parameter 'cod'")
