"""The journal's values read back exactly, labels and all."""

from __future__ import annotations

import dataclasses
import json
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.errors import StateError
from agentkit.labels import Integrity, Label, Source, SourceKind
from agentkit.messages import (
    DocumentPagePart,
    ImagePart,
    LabelledField,
    Message,
    Part,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    VideoFramePart,
)
from agentkit.planner.runs.wire import CallResult, decode, encode

# Lone surrogates, which a model may write, included.
TEXT = st.text(st.characters(exclude_categories=()), max_size=12)
SOURCES = st.builds(Source, st.sampled_from(SourceKind), TEXT, TEXT, TEXT)
LABELS = st.builds(
    Label,
    st.sampled_from(Integrity),
    st.none() | st.frozensets(TEXT, max_size=3),
    st.lists(SOURCES, max_size=3).map(tuple),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=3)
FIELDS = st.lists(
    st.builds(LabelledField, TEXT, st.integers(), st.integers(), LABELS), max_size=2
).map(tuple)
PARTS: dict[type, st.SearchStrategy[Any]] = {
    TextPart: st.builds(TextPart, TEXT, LABELS),
    ImagePart: st.builds(ImagePart, st.binary(), TEXT, LABELS),
    VideoFramePart: st.builds(
        VideoFramePart, st.binary(), TEXT, st.floats(allow_nan=False), LABELS
    ),
    DocumentPagePart: st.builds(
        DocumentPagePart, TEXT, st.integers(), LABELS, st.none() | st.binary()
    ),
    ToolCallPart: st.builds(ToolCallPart, TEXT, TEXT, OBJECTS, LABELS),
    ToolResultPart: st.builds(ToolResultPart, TEXT, TEXT, TEXT, LABELS, st.booleans(), FIELDS),
}
MESSAGES = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    st.lists(st.one_of(*PARTS.values()), max_size=3).map(tuple),
)


def test_every_kind_of_part_is_drawn() -> None:
    assert set(PARTS) == set(typing.get_args(Part))


@given(st.lists(MESSAGES, max_size=3).map(tuple))
def test_messages_round_trip_exactly(messages: tuple[Message, ...]) -> None:
    text = encode(messages)
    back = decode(text)
    assert back == messages
    assert text.isascii()
    # Equality does not tell 1 from True and 1.0; the spelling does.
    assert encode(back) == text
    assert [message.label for message in back] == [message.label for message in messages]


@given(PARTS[ToolResultPart], MESSAGES)
def test_results_round_trip_exactly(part: ToolResultPart, note: Message) -> None:
    result = CallResult(part, suspect=True, note=note)
    assert decode(encode(result)) == result


@given(OBJECTS)
def test_an_object_that_looks_like_a_tag_is_data(arguments: dict[str, Any]) -> None:
    trap = {"is": "Label", "of": arguments}
    assert decode(encode(trap)) == trap


@pytest.mark.parametrize("value", [object(), {1, 2}, Exception("x"), dataclasses.field, Part])
def test_what_is_not_known_is_refused_before_it_is_written(value: object) -> None:
    with pytest.raises(StateError):
        encode(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"a": 1}',
        '{"is": "Popen", "of": {"args": "id"}}',
        '{"is": "Label", "of": {"unknown": 1}}',
        '{"is": "Integrity", "of": "holy"}',
        '{"is": "bytes", "of": "***"}',
        json.dumps({"is": "dict", "of": [[{"is": "dict", "of": []}, 1]]}),
    ],
)
def test_what_nobody_wrote_is_refused(text: str) -> None:
    with pytest.raises(StateError):
        decode(text)
