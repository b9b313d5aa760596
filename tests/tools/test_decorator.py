from __future__ import annotations

from typing import Annotated, Literal

import anyio
import pytest
from pydantic import Field

from agentkit.errors import ToolError
from agentkit.tools import Effect, Tool, ToolCall, tool


def call(made: Tool, **arguments: object) -> str:
    async def main() -> str:
        return await made.function(ToolCall("c1", dict(arguments), "key"))  # type: ignore[arg-type]

    return anyio.run(main)


def test_schema_comes_from_annotations_and_description_from_the_docstring() -> None:
    @tool(effect="read", returns="inputs")
    def repeat(
        text: str, times: Annotated[int, Field(ge=1, le=5)] = 2, mode: Literal["a", "b"] = "a"
    ) -> str:
        """Repeat a text
        several times.

        Details that no model needs.
        """
        return mode + text * times

    assert repeat.description == "Repeat a text several times."
    assert repeat.effect is Effect.READ
    assert repeat.parameters == {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "times": {"type": "integer", "minimum": 1, "maximum": 5, "default": 2},
            "mode": {"type": "string", "enum": ["a", "b"], "default": "a"},
        },
        "required": ["text"],
        "additionalProperties": False,
    }
    assert call(repeat, text="x", times=3, mode="b") == "bxxx"


def test_an_undeclared_effect_is_external_and_every_parameter_sensitive() -> None:
    @tool()
    async def send(to: str) -> str:
        """Send."""
        return to

    assert send.effect is Effect.EXTERNAL
    assert send.returns == "untrusted"
    assert send.is_sensitive("to")
    assert call(send, to="kari@example.no") == "kari@example.no"


@pytest.mark.parametrize(
    ("arguments", "where"),
    [({"n": "3"}, "'n'"), ({"n": 3, "m": 1}, "'m'"), ({}, "'n'"), ({"n": True}, "'n'")],
)
def test_arguments_are_validated_strictly(arguments: dict[str, object], where: str) -> None:
    @tool(effect="read")
    def double(n: int) -> int:
        """Double."""
        return 2 * n

    with pytest.raises(ToolError, match=where):
        call(double, **arguments)


def test_results_other_than_text_become_json_and_nothing_else() -> None:
    @tool(effect="read")
    def listing() -> dict[str, list[int]]:
        """List."""
        return {"æ": [1]}

    @tool(effect="read")
    def broken() -> object:
        """Break."""
        return object()

    assert call(listing) == '{"æ": [1]}'
    with pytest.raises(ToolError, match="no JSON value"):
        call(broken)


def test_a_tool_without_docstring_or_types_is_refused() -> None:
    with pytest.raises(ToolError, match="no docstring"):

        @tool()
        def silent(x: int) -> int:
            return x

    with pytest.raises(ToolError, match="has no type"):

        @tool()
        def untyped(x):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            """Do."""

    with pytest.raises(ToolError, match=r"\*rest"):

        @tool()
        def many(*rest: int) -> int:
            """Do."""
            return sum(rest)


@pytest.mark.parametrize("name", ["", "two words", "1st", "x" * 65, "evil\n"])
def test_names_that_a_prompt_or_a_parser_could_misread_are_refused(name: str) -> None:
    async def nothing(call: ToolCall) -> str:
        return call.call_id

    with pytest.raises(ToolError, match="cannot be a tool's name"):
        Tool(name, "", {"type": "object"}, nothing)


@pytest.mark.parametrize("schema", [{"type": "objekt"}, {"type": "array"}, {}])
def test_parameters_must_be_a_schema_of_an_object(schema: dict[str, object]) -> None:
    async def nothing(call: ToolCall) -> str:
        return call.call_id

    with pytest.raises(ToolError):
        Tool("x", "", schema, nothing)  # type: ignore[arg-type]
