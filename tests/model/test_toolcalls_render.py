"""Writing calls in each syntax."""

from __future__ import annotations

import pytest

from agentkit.errors import ModelError
from agentkit.model.protocol import ToolCallDelta
from agentkit.model.toolcalls import CallSyntax, render_calls

OSLO = ToolCallDelta("get_weather", {"city": "Oslo"})


def test_rendered_forms() -> None:
    call = ToolCallDelta("get_weather", {"city": 'Åre "x"', "deep": {"a": [True, None, 1.5]}})
    assert render_calls([call], CallSyntax.PYTHONIC) == (
        '[get_weather(city="Åre \\"x\\"", deep={"a": [True, None, 1.5]})]'
    )
    assert render_calls([OSLO, OSLO], CallSyntax.JSON) == (
        '{"name": "get_weather", "arguments": {"city": "Oslo"}}\n'
        '{"name": "get_weather", "arguments": {"city": "Oslo"}}'
    )
    assert render_calls([OSLO], CallSyntax.TAG) == (
        '<function=get_weather>{"city": "Oslo"}</function>'
    )


def test_what_pythonic_cannot_say_is_written_in_json() -> None:
    call = ToolCallDelta("now", {"a b": 1})
    assert render_calls([call, OSLO], CallSyntax.PYTHONIC).startswith('{"name": "now"')


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**60, "\ud800"])
def test_arguments_that_are_no_json_cannot_be_written(value: float | str) -> None:
    with pytest.raises(ModelError, match="cannot be written"):
        render_calls([ToolCallDelta("now", {"a": value})], CallSyntax.JSON)
