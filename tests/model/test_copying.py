"""Arguments held to the conversation's words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.labels import Label, SourceKind
from agentkit.messages import FunctionDeclaration, Message, ToolResultPart
from agentkit.model.copying import copied_arguments, runs_of_words
from agentkit.model.grammar import ReplyGrammar
from agentkit.model.protocol import Constraint
from agentkit.model.toolcalls import CallSyntax

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

LABEL = Label.trusted(SourceKind.OPERATOR, "test")


def tool(name: str = "t", **properties: object) -> FunctionDeclaration:
    return FunctionDeclaration(name, "", {"type": "object", "properties": properties})


def held(messages: list[Message], **properties: object) -> dict[str, object]:
    (found,) = copied_arguments([tool(**properties)], messages)
    return dict(found.parameters["properties"])


@pytest.mark.parametrize(
    ("text", "run"),
    [
        ("The dining room should be lit at 56.", "dining room"),
        ("Call #help-desk serendipity.", "help-desk"),
        ("Call #help-desk serendipity.", "#help-desk"),
        ("Time for Bella's dinner: 47 g.", "Bella"),
        ("Blame src/parser.c:12", "src/parser.c"),
        ("Poll: 'see you at the station'?", "see you at the station"),
        ("Wire Ewa Nowak 3.50 EUR, please!", "Ewa Nowak"),
        ("Skru på varmen i gården.", "gården"),
        ("mail kari@fjord.no", "kari@fjord.no"),
        ("one\ntwo", "one\ntwo"),
    ],
)
def test_what_a_person_would_copy_is_a_run(text: str, run: str) -> None:
    assert run in set(runs_of_words(text))


@given(st.text(max_size=200))
def test_every_run_stands_in_the_text_and_none_is_empty(text: str) -> None:
    for run in runs_of_words(text):
        assert run
        assert run in text
        assert run == run.strip()


def test_only_the_last_words_count_and_a_long_text_stays_small() -> None:
    runs = set(runs_of_words(" ".join(f"w{n}" for n in range(5000)), 50))
    assert "w4999" in runs
    assert "w4949" not in runs
    assert len(runs) <= 50 * 16


def test_strings_and_lists_of_strings_are_held() -> None:
    found = held(
        [Message.user("Ask Kari")],
        who={"type": "string", "description": "whom"},
        tags={"type": "array", "items": {"type": "string"}},
    )
    assert found["who"] == {
        "type": "string",
        "description": "whom",
        "enum": ["Ask", "Ask Kari", "Kari"],
    }
    assert found["tags"]["items"]["enum"] == ["Ask", "Ask Kari", "Kari"]  # type: ignore[index]  # read as JSON


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer"},
        {"type": "string", "enum": ["a"]},
        {"type": "string", "pattern": "x"},
        {"type": "string", "format": "date"},
        {"type": "string", "minLength": 99},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        True,
    ],
)
def test_other_schemas_stay_as_they_are(schema: object) -> None:
    assert held([Message.user("Ask Kari")], x=schema) == {"x": schema}


def test_code_is_composed_and_silence_holds_nothing() -> None:
    code = tool("python", code={"type": "string"})
    assert copied_arguments([code], [Message.user("17 * 23")]) == (code,)
    free = tool(x={"type": "string"})
    assert copied_arguments([free], [Message.system("Be brief.")]) == (free,)


def test_results_may_be_copied_and_the_operator_s_words_not() -> None:
    result = ToolResultPart("1", "find", "order KX-4821", LABEL)
    messages = [Message.system("secret"), Message.user("track it"), Message("tool", (result,))]
    choices = held(messages, order={"type": "string"})["order"]["enum"]  # type: ignore[index]  # read as JSON
    assert "KX-4821" in choices
    assert "track" in choices
    assert "secret" not in choices


def test_lengths_are_kept() -> None:
    found = held([Message.user("Ask Kari")], x={"type": "string", "maxLength": 3})
    assert found["x"]["enum"] == ["Ask"]  # type: ignore[index]  # read as JSON


def numbers(count: int) -> str:
    """One long word, as CSV and minified JSON are."""
    return ",".join(str(7919 * n % 1000) for n in range(count))


def size(schema: object) -> int:
    return len(json.dumps(schema))


def test_prose_of_all_words_is_held_to_all_its_runs() -> None:
    words = [f"word{n}" for n in range(160)]
    choices = held([Message.user(" ".join(words))], x={"type": "string"})["x"]["enum"]  # type: ignore[index]  # read as JSON
    assert choices == list(dict.fromkeys(runs_of_words(" ".join(words))))
    assert " ".join(words[-16:]) in choices


def test_a_long_word_is_held_to_short_runs() -> None:
    found = held([Message.user(numbers(1200))], x={"type": "string"})["x"]
    assert "919" in found["enum"]  # type: ignore[index]  # read as JSON
    assert size(found) < 1 << 20


def test_what_no_grammar_has_room_for_is_not_held() -> None:
    assert held([Message.user(numbers(20_000))], x={"type": "string"}) == {"x": {"type": "string"}}


def test_many_arguments_share_the_room() -> None:
    words = " ".join(f"word{n}" for n in range(160))
    one = held([Message.user(words)], x={"type": "string"})
    many = held([Message.user(words)], **{f"x{n}": {"type": "string"} for n in range(40)})
    assert size(many) < 10 * size(one)
    assert "word159" in many["x0"]["enum"]  # type: ignore[index]  # read as JSON


@pytest.mark.parametrize("text", [numbers(300), numbers(1200), numbers(6000)])
def test_a_long_word_leaves_a_grammar_that_compiles(
    byte_level: PreTrainedTokenizerFast, text: str
) -> None:
    tools = [tool(name, **{f"x{n}": {"type": "string"} for n in range(4)}) for name in ("a", "b")]
    admitted = copied_arguments(tools, [Message.user(text)])
    grammar = ReplyGrammar(byte_level, len(byte_level), [1])
    assert grammar.matcher(admitted, Constraint("required"), CallSyntax.JSON) is not None
