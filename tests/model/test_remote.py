"""The remote backend against a real server on loopback that speaks, and breaks, the protocol."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.errors import BackendError, ModelError
from agentkit.labels import Label, SourceKind
from agentkit.messages import (
    DocumentPagePart,
    FunctionDeclaration,
    ImagePart,
    Message,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from agentkit.model import (
    ChatModel,
    Constraint,
    Delta,
    FinishDelta,
    GenerationSettings,
    InvalidCallDelta,
    RemoteModel,
    TextDelta,
    TokenUsage,
    ToolCallDelta,
)
from agentkit.model.remote_errors import retry_delay_s
from agentkit.model.remote_stream import ReplyAssembler

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KEY = "sk-very-secret-key-0123456789"
ANY = Label.untrusted(SourceKind.TOOL, "test")
WEATHER = FunctionDeclaration(
    "get_weather", "Weather", {"type": "object", "properties": {"city": {"type": "string"}}}
)
OSLO = ToolCallDelta("get_weather", {"city": "Oslo"})


@dataclass
class Answer:
    """What the server says next: a status, headers and pieces of the body, byte for byte."""

    status: int = 200
    pieces: Sequence[bytes] = ()
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream"})
    content_length: int | None = None


@dataclass
class Server:
    """A loopback server: it plays ``answers`` and keeps what it was asked."""

    port: int
    answers: list[Answer] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    seen_headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def stream(self, *chunks: dict[str, Any], done: bool = True) -> None:
        """Answer the next request with a well-formed stream of these chunks."""
        pieces = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks]
        self.answers.append(Answer(pieces=[*pieces, b"data: [DONE]\n\n"] if done else pieces))


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server(0)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            state.asked.append(json.loads(body))
            state.seen_headers.append({key.lower(): value for key, value in self.headers.items()})
            state.paths.append(self.path)
            answer = state.answers.pop(0)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.content_length is not None:
                self.send_header("content-length", str(answer.content_length))
            self.end_headers()
            try:
                for piece in answer.pieces:
                    self.wfile.write(piece)
                    self.wfile.flush()
            except OSError:
                state.hung_up.set()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    state.port = httpd.server_address[1]
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield state
    httpd.shutdown()
    httpd.server_close()
    thread.join(timeout=10)


def ask(
    server: Server | str,
    messages: Sequence[Message] = (Message.user("Hi"),),
    *,
    tools: Sequence[FunctionDeclaration] = (WEATHER,),
    constraint: Constraint = Constraint(),
    settings: GenerationSettings = GenerationSettings(),
    **options: Any,
) -> list[Delta]:
    url = server if isinstance(server, str) else server.url

    async def run() -> list[Delta]:
        model = RemoteModel(url, "some-model", revision="2026-11", timeout_s=20, **options)
        try:
            return [
                delta
                async for delta in model.generate(
                    messages, tools=tools, constraint=constraint, settings=settings
                )
            ]
        finally:
            await model.aclose()

    return anyio.run(run)


def failure(server: Server | str, **options: Any) -> BackendError:
    with pytest.raises(BackendError) as failed:
        ask(server, **options)
    assert failed.value.cure
    assert failed.value.__cause__ is None
    return failed.value


def text_chunk(text: str, reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}]}


def call_chunk(*calls: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {
        "choices": [{"index": 0, "delta": {"tool_calls": list(calls)}, "finish_reason": reason}]
    }


def spoken(deltas: Sequence[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def called(deltas: Sequence[Delta]) -> list[ToolCallDelta]:
    return [delta for delta in deltas if isinstance(delta, ToolCallDelta)]


def end(deltas: Sequence[Delta]) -> FinishDelta:
    assert sum(isinstance(delta, FinishDelta) for delta in deltas) == 1
    assert isinstance(deltas[-1], FinishDelta)
    return deltas[-1]


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


# Failures: one clear error each.


@pytest.mark.parametrize(
    ("status", "words", "cure"),
    [
        (400, "does not accept the request", "context length"),
        (401, "does not accept the API key", "key"),
        (403, "does not allow", "access"),
        (404, "no such model or path", "qwen3-30b-a3b, gpt-oss-20b, olmoe"),
        (410, "has retired the model", "run the weights in-process"),
        (413, "too large", "shorten"),
        (418, "refused", "documentation"),
        (429, "asked too often", "wait"),
        (500, "failed", "try again"),
        (502, "failed", "try again"),
        (503, "overloaded", "later"),
    ],
)
def test_each_status_has_a_meaning_and_a_cure(
    server: Server, status: int, words: str, cure: str
) -> None:
    body = json.dumps({"error": {"message": f"no\nuse: {KEY}"}}).encode()
    headers = {"content-type": "application/json", "retry-after": "0"}
    server.answers += [Answer(status, [body], headers)] * 3
    error = failure(server, api_key=KEY)
    assert words in error.message
    assert f"HTTP {status}" in error.message
    assert "some-model" in error.message
    assert "no use: [secret]" in error.message
    assert cure in error.cure
    assert error.place == f"{server.url}/chat/completions"
    assert KEY not in str(error)
    assert len(server.asked) == (3 if status in {429, 503} else 1)


def test_a_busy_backend_is_asked_again(server: Server) -> None:
    server.answers += [Answer(429, [], {"retry-after": "0"}), Answer(503, [], {"retry-after": "0"})]
    server.stream(text_chunk("ok", "stop"))
    assert spoken(ask(server)) == "ok"


def test_a_long_wait_is_not_sat_out(server: Server) -> None:
    server.answers.append(Answer(429, [], {"retry-after": "3600"}))
    error = failure(server)
    assert "asks to wait 3600 s" in error.message
    assert len(server.asked) == 1


def test_retry_delays() -> None:
    assert retry_delay_s(429, {"retry-after": "1.5"}, 1) == 1.5
    assert retry_delay_s(429, {}, 2) == 2.0
    assert retry_delay_s(429, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 1) == 0.0
    assert retry_delay_s(429, {"retry-after": "Wed, 21 Oct 2099 07:28:00 GMT"}, 1) is None
    assert retry_delay_s(429, {"retry-after": "nonsense"}, 1) == 1.0
    assert retry_delay_s(500, {}, 1) is None


def test_redirects_are_not_followed(server: Server) -> None:
    server.answers.append(Answer(307, [], {"location": f"{server.url}/elsewhere"}))
    error = failure(server, api_key=KEY)
    assert "redirect" in error.message
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([b"data: {not json\n\n"], "malformed JSON"),
        ([b"data: " + b"[" * 200_000 + b"\n\n"], "malformed JSON"),
        ([b"data: [1]\n\n"], "no object"),
        ([b"data: {}\n\n"], "without choices"),
        ([b'data: {"choices": 3}\n\n'], "without choices"),
        ([b'data: {"choices": [3]}\n\n'], "choice that is no object"),
        ([b'data: {"choices": [{"delta": 3}]}\n\n'], "delta that is no object"),
        ([b'data: {"choices": [{"delta": {"content": 3}}]}\n\n'], "content that is no text"),
        ([b'data: {"choices": [{"delta": {"tool_calls": 3}}]}\n\n'], "no list"),
        ([b'data: {"choices": [{"delta": {"tool_calls": [3]}}]}\n\n'], "tool call that is no"),
        ([b"data: \xff\xfe\n\n"], "malformed UTF-8"),
        ([b'data: {"error": {"message": "out of memory"}}\n\n'], "out of memory"),
        ([f"data: {json.dumps(text_chunk('Hel'))}\n\n".encode()], "broke off"),
        ([f"data: {json.dumps(text_chunk('', 'content_filter'))}\n\n".encode()], "content filter"),
        ([b"<html>hello</html>"], "broke off"),
        ([], "broke off"),
        ([b"data: " + b"x" * (1 << 20)] * 17, "more than 16777216 bytes"),
    ],
)  # fmt: skip
def test_a_broken_stream_is_a_backend_error(
    server: Server, pieces: list[bytes], words: str
) -> None:
    server.answers.append(Answer(pieces=pieces))
    assert words in failure(server).message


def test_more_calls_than_any_reply_holds(server: Server) -> None:
    piece = {"function": {"name": "get_weather", "arguments": "{}"}}
    server.stream(call_chunk(*[{"index": n, **piece} for n in range(65)]))
    assert "more than 64 tool calls" in failure(server).message


def test_a_compressed_answer_is_refused(server: Server) -> None:
    headers = {"content-type": "text/event-stream", "content-encoding": "gzip"}
    server.answers.append(Answer(200, [b"\x1f\x8b"], headers))
    assert server.seen_headers == []
    assert "compressed" in failure(server).message
    assert server.seen_headers[0]["accept-encoding"] == "identity"


def test_a_connection_that_breaks_is_a_backend_error(server: Server) -> None:
    server.answers.append(Answer(pieces=[b"data: "], content_length=100))
    assert "connection to the backend failed" in failure(server).message


def test_a_refused_connection_names_the_url_without_credentials(server: Server) -> None:
    free = httpx.URL(server.url).copy_with(port=1, username="me", password=KEY)
    error = failure(str(free) + "?key=hidden")
    assert error.place == "http://127.0.0.1:1/v1/chat/completions"
    assert KEY not in str(error)
    assert "hidden" not in str(error)


def test_a_silent_backend_times_out() -> None:
    async def silent(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("no byte", request=request)

    error = failure("http://model.test/v1", transport=httpx.MockTransport(silent))
    assert "did not answer in time" in error.message


# Secrets and settings.


def test_the_key_is_nowhere_to_be_read(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server.stream(text_chunk("ok", "stop"))
    ask(server, api_key=KEY)
    url = server.url.replace("//", f"//me:{KEY}@")
    server.stream(text_chunk("ok", "stop"))
    ask(url)
    assert server.seen_headers[1]["authorization"].startswith("Basic ")
    model = RemoteModel(url, "m", revision="r")
    assert KEY not in repr(model)
    assert KEY not in str(model.info)
    assert KEY not in caplog.text
    assert model.info.backend == "remote, 127.0.0.1"


@pytest.mark.parametrize("key", ["", "with space", f"{KEY}\n", "kéy"])
def test_a_key_that_no_header_carries_is_refused_without_quoting_it(key: str) -> None:
    with pytest.raises(ModelError, match="API key") as refused:
        RemoteModel("http://127.0.0.1/v1", "m", revision="r", api_key=key)
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("url", ["", "model", "ftp://host/v1", "http://", "file:///x"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ModelError, match="URL"):
        RemoteModel(url, "m", revision="r")


def test_credentials_and_key_together_are_refused() -> None:
    with pytest.raises(ModelError, match="credentials and there is an API key"):
        RemoteModel("http://me:pw@127.0.0.1/v1", "m", revision="r", api_key=KEY)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("", "/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/v1?api-version=2", "/v1/chat/completions?api-version=2"),
    ],
)
def test_the_path_is_completed(server: Server, path: str, asked: str) -> None:
    server.stream(text_chunk("ok", "stop"))
    ask(server.url.removesuffix("/v1") + path)
    assert server.paths == [asked]


def test_it_is_a_chat_model() -> None:
    model = RemoteModel("https://model.test/v1", "m", revision="r", context_tokens=4096)
    assert isinstance(model, ChatModel)
    assert (model.info.architecture, model.info.context_tokens) == ("remote", 4096)


def test_closing_the_iterator_hangs_up(server: Server) -> None:
    chunk = f"data: {json.dumps(text_chunk('word '))}\n\n".encode()
    server.answers.append(Answer(pieces=[chunk] * 400_000))

    async def run() -> None:
        model = RemoteModel(server.url, "m", revision="r")
        deltas = model.generate([Message.user("Hi")])
        assert await anext(deltas) == TextDelta("word ")
        await deltas.aclose()
        await model.aclose()

    anyio.run(run)
    assert server.hung_up.wait(timeout=20)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["choices", "delta", "message", "content", "tool_calls", "function", "name", "usage",
             "arguments", "index", "id", "finish_reason", "logprobs", "top_logprobs",
             "token", "error"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.lists(json_values.map(json.dumps) | st.text(max_size=10), max_size=4))
def test_whatever_a_backend_sends_is_deltas_or_a_backend_error(events: list[str]) -> None:
    assembler = ReplyAssembler(["get_weather"], ["safe"])
    deltas: list[Delta] = []
    try:
        for event in events:
            deltas += assembler.feed(event)
        deltas += assembler.finish(0.0, 0.0)
    except BackendError:
        return
    assert isinstance(deltas[-1], FinishDelta)
    assert isinstance(deltas[-1].usage, TokenUsage)
