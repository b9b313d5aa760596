from __future__ import annotations

import functools
from collections.abc import Callable  # noqa: TC003 - annotations of tools are read at run time
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

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


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("kind", "sent", "received"),
    [
        (Colour, "red", Colour.RED),
        (list[Colour], ["red"], [Colour.RED]),
        (date, "2026-01-02", date(2026, 1, 2)),
        (date | None, "2026-01-02", date(2026, 1, 2)),
        (Decimal, "10.50", Decimal("10.50")),
        (UUID, "00000000-0000-0000-0000-000000000001", UUID(int=1)),
        (Path, "a/b", Path("a/b")),
        (bytes, "abc", b"abc"),
        (tuple[int, int], [1, 2], (1, 2)),
        (set[str], ["a"], {"a"}),
        (Point, {"x": 1}, Point(1)),
        (dict[int, str], {"1": "a"}, {1: "a"}),
        (int, 3.0, 3),
        (float, 3, 3.0),
    ],
    ids=str,
)
def test_what_the_schema_allows_reaches_the_function(
    kind: Any,
    sent: object,
    received: object,
) -> None:
    seen: list[object] = []

    def show(value: object) -> str:
        """Show."""
        seen.append(value)
        return "shown"

    show.__annotations__["value"] = kind
    assert call(tool(effect="read")(show), value=sent) == "shown"
    assert seen == [received]
    assert type(seen[0]) is type(received)


def test_an_async_function_inside_a_plain_wrapper_is_awaited() -> None:
    async def greet(name: str) -> str:
        """Greet."""
        return f"Hei {name}"

    @functools.wraps(greet)
    def logged(**arguments: str) -> object:
        return greet(**arguments)

    assert call(tool(effect="read")(logged), name="Kari") == "Hei Kari"


def test_parameters_that_could_never_be_given_are_refused() -> None:
    with pytest.raises(ToolError, match="positional only"):

        @tool()
        def first(x: int, /) -> int:
            """Do."""
            return x

    with pytest.raises(ToolError, match="of the name '_x'"):

        @tool()
        def hidden(_x: int) -> int:
            """Do."""
            return _x

    with pytest.raises(ToolError, match="of the name 'model_config'"):

        @tool()
        def taken(model_config: str) -> str:
            """Do."""
            return model_config

    with pytest.raises(ToolError, match="no JSON Schema"):

        @tool()
        def calling(back: Callable[[], int]) -> int:
            """Do."""
            return back()

    with pytest.raises(ToolError, match="no JSON Schema"):

        @tool()
        def forward(x: Nowhere) -> str:  # type: ignore[name-defined]  # noqa: F821 - undefined on purpose
            """Do."""
            return str(x)

    @tool()
    def load(model_name: str) -> str:
        """Do."""
        return model_name

    assert call(load, model_name="a") == "a"


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


def test_an_effect_that_there_is_not_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ToolError, match="'reed'") as caught:

        @tool(effect="reed")
        def read(name: str) -> str:
            """Read a file."""
            return name

    assert "'read'" in caught.value.cure


def test_a_whole_float_too_large_to_be_exact_stays_a_float() -> None:
    @tool(effect="read")
    def half(amount: float) -> str:
        """Halve an amount."""
        return str(amount / 2)

    assert anyio.run(half.function, ToolCall("1.1.1", {"amount": 1e300}, "k")) == "5e+299"
