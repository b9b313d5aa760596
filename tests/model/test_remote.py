"""The remote backend: what is sent, and what is read of any stream."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentkit.errors import ModelError
from agentkit.messages import (
    DocumentPagePart,
    ImagePart,
    Message,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from agentkit.model import (
    Constraint,
    GenerationSettings,
    InvalidCallDelta,
    TextDelta,
    ToolCallDelta,
)
from tests.model.backend import (
    ANY,
    KEY,
    OSLO,
    WEATHER,
    Answer,
    Server,
    ask,
    call_chunk,
    called,
    end,
    spoken,
    text_chunk,
)

# The protocol as it should be.


def test_text_is_streamed_with_usage(server: Server) -> None:
    server.stream(
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
        text_chunk("Hel"),
        text_chunk("lo."),
        text_chunk("", "stop"),
        {
            "choices": [],
            "usage": {
                "prompt_tokens": 9,
                "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": 4},
            },
        },
    )
    deltas = ask(server)
    assert deltas[:-1] == [TextDelta("Hel"), TextDelta("lo.")]
    finish = end(deltas)
    assert finish.reason == "stop"
    assert (finish.usage.prompt_tokens, finish.usage.cached_tokens) == (9, 4)
    assert finish.usage.completion_tokens == 2
    assert finish.usage.prefill_s >= 0


def test_calls_are_assembled_by_index(server: Server) -> None:
    server.stream(
        call_chunk({"index": 0, "id": "c0", "function": {"name": "get_weather", "arguments": ""}}),
        call_chunk({"index": 1, "id": "c1", "function": {"name": "get_weather"}}),
        call_chunk({"index": 0, "function": {"arguments": '{"ci'}}),
        call_chunk({"index": 1, "function": {"arguments": '{"city": "Rome"}'}}),
        call_chunk({"index": 0, "function": {"arguments": 'ty": "Oslo"}'}}),
        call_chunk(reason="tool_calls"),
    )
    deltas = ask(server)
    assert deltas[:-1] == [
        ToolCallDelta("get_weather", {"city": "Oslo"}, "c0"),
        ToolCallDelta("get_weather", {"city": "Rome"}, "c1"),
    ]
    assert end(deltas).reason == "calls"


def test_the_request_says_what_was_asked(server: Server) -> None:
    server.stream(text_chunk("ok", "stop"))
    history = [
        Message.system("Be brief."),
        Message.user("Weather?"),
        Message("assistant", (ToolCallPart("c1", "get_weather", {"city": "Åre"}, ANY),)),
        Message(
            "tool",
            (
                ToolResultPart("c1", "get_weather", "<|eot|> -3", ANY),
                ToolResultPart("c2", "get_weather", "no such city", ANY, is_error=True),
            ),
        ),
    ]
    ask(
        server,
        history,
        constraint=Constraint("required", {"type": "object"}),
        settings=GenerationSettings(max_tokens=7, seed=3, score_first_token=("safe",)),
        api_key=KEY,
    )
    asked = server.asked[0]
    assert server.paths == ["/v1/chat/completions"]
    assert server.seen_headers[0]["authorization"] == f"Bearer {KEY}"
    assert asked["model"] == "some-model"
    assert asked["stream"] is True
    assert (asked["max_tokens"], asked["seed"], asked["temperature"]) == (7, 3, 0.0)
    assert asked["tool_choice"] == "required"
    assert asked["tools"][0]["function"]["parameters"] == WEATHER.parameters
    assert asked["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert asked["logprobs"] is True
    assert asked["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city": "Åre"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "<|eot|> -3"},
        {"role": "tool", "tool_call_id": "c2", "content": "error: no such city"},
    ]


def test_images_are_sent_as_data_and_bounded(server: Server) -> None:
    server.stream(text_chunk("ok", "stop"))
    page = DocumentPagePart("page text", 1, ANY, image=b"png")
    picture = ImagePart(b"jpg", "image/jpeg", ANY)
    ask(server, [Message("user", (TextPart("Look", ANY), page, picture))])
    assert server.asked[0]["messages"][0]["content"] == [
        {"type": "text", "text": "Look"},
        {"type": "text", "text": "page text"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,anBn"}},
    ]
    with pytest.raises(ModelError, match="holds 3 images and the backend takes 2"):
        ask(server, [Message("user", (picture,) * 3)], max_images=2)
    with pytest.raises(ModelError, match="cannot carry"):
        ask(server, [Message("tool", (picture,))])


def test_first_token_scores(server: Server) -> None:
    top = [
        {"token": " safe", "logprob": -0.1053605},
        {"token": "un", "logprob": -2.9957},
        {"token": "unsafe", "logprob": -2.9957},
        {"token": "s", "logprob": -9.0},
        {"token": "!", "logprob": float("-inf")},
        {"token": "unsa", "logprob": -(10**400)},
        {"token": 3, "logprob": None},
    ]
    chunk = text_chunk("safe", "stop")
    chunk["choices"][0]["logprobs"] = {"content": [{"token": "safe", "top_logprobs": top}]}
    server.stream(chunk)
    settings = GenerationSettings(score_first_token=("safe", "unsafe"))
    scores = end(ask(server, settings=settings, tools=())).first_token_scores
    assert scores["safe"] == pytest.approx(0.9 + 0.000123, abs=1e-3)
    assert scores["unsafe"] == pytest.approx(0.1, abs=1e-3)


def test_no_logprobs_no_scores(server: Server) -> None:
    server.stream(text_chunk("safe", "stop"))
    settings = GenerationSettings(score_first_token=("safe", "unsafe"))
    assert end(ask(server, settings=settings)).first_token_scores == {}


# The protocol as backends bend it.


@pytest.mark.parametrize(
    "content",
    [
        '{"name": "get_weather", "arguments": {"city": "Oslo"}}',
        '{"type": "function", "name": "get_weather", "parameters": "{\\"city\\": \\"Oslo\\"}"}',
        '\n[get_weather(city="Oslo")]',
        '<function=get_weather>{"city": "Oslo"}</function>',
    ],
)
def test_a_call_left_in_the_content_is_a_call(server: Server, content: str) -> None:
    server.stream(*(text_chunk(letter) for letter in content), text_chunk("", "stop"))
    deltas = ask(server)
    assert deltas[:-1] == [OSLO]
    assert end(deltas).reason == "calls"


def test_content_is_text_where_no_call_was_asked_for(server: Server) -> None:
    content = '[get_weather(city="Oslo")]'
    for tools, choice in (((), "auto"), ((WEATHER,), "none")):
        server.stream(text_chunk(content, "stop"))
        deltas = ask(server, tools=tools, constraint=Constraint(choice))
        assert (spoken(deltas), called(deltas)) == (content, [])


def test_prose_with_a_call_in_it_is_text(server: Server) -> None:
    content = 'Well: [get_weather(city="Oslo")]'
    server.stream(text_chunk("  "), text_chunk(content), text_chunk("", "stop"))
    deltas = ask(server)
    assert (spoken(deltas), called(deltas)) == ("  " + content, [])


def test_text_that_starts_like_a_call_and_is_none_arrives(server: Server) -> None:
    server.stream(text_chunk("[1] says "), text_chunk("so."), text_chunk("", "stop"))
    assert spoken(ask(server)) == "[1] says so."


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"city": "Oslo"}', {"city": "Oslo"}),
        ({"city": "Oslo"}, {"city": "Oslo"}),
        ("", {}),
        (None, {}),
    ],
)
def test_arguments_as_string_object_or_nothing(
    server: Server, arguments: object, expected: dict[str, str]
) -> None:
    piece = {"index": 0, "function": {"name": "get_weather", "arguments": arguments}}
    server.stream(call_chunk(piece, reason="tool_calls"))
    assert called(ask(server)) == [ToolCallDelta("get_weather", expected)]


@pytest.mark.parametrize("reason", ["stop", "tool_calls", "function_call", None])
def test_a_finish_reason_that_contradicts_the_calls(server: Server, reason: str | None) -> None:
    piece = {"index": 0, "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
    server.stream(call_chunk(piece, reason=reason))
    deltas = ask(server)
    assert called(deltas) == [OSLO]
    assert end(deltas).reason == "calls"


def test_one_index_for_all_calls(server: Server) -> None:
    def piece(call_id: str) -> dict[str, Any]:
        arguments = {"name": "get_weather", "arguments": '{"city": "Oslo"}'}
        return {"index": 0, "id": call_id, "function": arguments}

    server.stream(call_chunk(piece("a")), call_chunk(piece("b"), reason="tool_calls"))
    assert [call.call_id for call in called(ask(server))] == ["a", "b"]


def test_no_index_at_all(server: Server) -> None:
    server.stream(
        call_chunk({"id": "a", "function": {"name": "get_weather", "arguments": '{"city"'}}),
        call_chunk({"function": {"arguments": ': "Oslo"}'}}),
        call_chunk({"function": {"name": "get_weather", "arguments": "{}"}}, reason="stop"),
    )
    assert called(ask(server)) == [
        ToolCallDelta("get_weather", {"city": "Oslo"}, "a"),
        ToolCallDelta("get_weather", {}),
    ]


def test_a_name_that_is_repeated_in_each_piece(server: Server) -> None:
    server.stream(
        call_chunk({"index": 0, "id": "a", "function": {"name": "get_weather", "arguments": "{"}}),
        call_chunk({"index": 0, "id": "a", "function": {"name": "get_weather", "arguments": "}"}}),
        text_chunk("", "tool_calls"),
    )
    assert called(ask(server)) == [ToolCallDelta("get_weather", {}, "a")]


@pytest.mark.parametrize("call_id", [None, 7, "", "with space", "x" * 200, "\n"])
def test_unusable_ids_are_left_empty(server: Server, call_id: object) -> None:
    piece = {"index": 0, "id": call_id, "function": {"name": "get_weather", "arguments": "{}"}}
    server.stream(call_chunk(piece, reason="tool_calls"))
    assert called(ask(server)) == [ToolCallDelta("get_weather", {})]


def test_an_id_that_stands_twice_is_left_out(server: Server) -> None:
    pieces = [
        {"index": n, "id": "same", "function": {"name": "get_weather", "arguments": "{}"}}
        for n in range(2)
    ]
    server.stream(call_chunk(*pieces, reason="tool_calls"))
    assert [call.call_id for call in called(ask(server))] == ["same", ""]


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        ({"name": "get_weather", "arguments": '{"city": '}, "broken"),
        ({"name": "get_weather", "arguments": "[1]"}, "one JSON object"),
        ({"name": "get_weather", "arguments": '{"a": 1, "a": 2}'}, "twice"),
        ({"name": "get_weather", "arguments": {"a": 2**60}}, "too large"),
        ({"name": "rm -rf /", "arguments": "{}"}, "names no tool"),
        ({"arguments": "{}"}, "names no tool"),
    ],
)
def test_a_broken_call_is_told_to_the_model(
    server: Server, function: dict[str, Any], problem: str
) -> None:
    server.stream(call_chunk({"index": 0, "function": function}, reason="tool_calls"))
    deltas = ask(server)
    (broken,) = deltas[:-1]
    assert isinstance(broken, InvalidCallDelta)
    assert problem in broken.problem
    assert end(deltas).reason == "calls"


def test_a_call_that_was_cut_off_is_no_call(server: Server) -> None:
    server.stream(call_chunk({"index": 0, "function": {"name": "get_weather"}}, reason="length"))
    deltas = ask(server)
    assert isinstance(deltas[0], InvalidCallDelta)
    assert "cut off" in deltas[0].problem
    assert end(deltas).reason == "length"


def test_text_beside_calls_is_kept(server: Server) -> None:
    piece = {"index": 0, "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
    server.stream(text_chunk("[thinking] "), call_chunk(piece, reason="tool_calls"))
    deltas = ask(server)
    assert (spoken(deltas), called(deltas)) == ("[thinking] ", [OSLO])


def test_a_whole_completion_instead_of_a_stream(server: Server) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    body = {
        "choices": [
            {
                "message": {"role": "assistant", "content": None, "tool_calls": [call, call]},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1},
    }
    headers = {"content-type": "application/json; charset=utf-8"}
    server.answers.append(Answer(200, [json.dumps(body).encode()], headers))
    deltas = ask(server)
    assert called(deltas)[0] == ToolCallDelta("get_weather", {}, "a")
    assert end(deltas).usage.prompt_tokens == 3


def test_comments_line_ends_and_pieces_cut_anywhere(server: Server) -> None:
    body = (
        ": keep-alive\r\n\r\nevent: message\r\nid: 1\r\n"
        f"data: {json.dumps(text_chunk('Å☀'), ensure_ascii=False)}\r\n\r\n"
        "data:[DONE]"
    ).encode()
    server.answers.append(Answer(pieces=[body[at : at + 1] for at in range(len(body))]))
    assert spoken(ask(server)) == "Å☀"


def test_content_in_parts_and_refusals_are_text(server: Server) -> None:
    parts = {"choices": [{"delta": {"content": [{"type": "text", "text": "a"}, {"type": "x"}]}}]}
    refusal = {"choices": [{"delta": {"refusal": "b"}, "finish_reason": "stop"}]}
    server.stream(parts, refusal, {"choices": [{"delta": None}]})
    assert spoken(ask(server)) == "ab"
