"""The remote backend: whatever goes wrong is one clear error with a cure."""

from __future__ import annotations

import json
import logging

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.errors import BackendError, BackendRefused, ModelError
from agentkit.messages import (
    Message,
)
from agentkit.model import (
    ChatModel,
    Delta,
    FinishDelta,
    RemoteModel,
    TextDelta,
    TokenUsage,
)
from agentkit.model.remote_errors import retry_delay_s
from agentkit.model.remote_stream import ReplyAssembler
from tests.model.backend import (
    KEY,
    Answer,
    Server,
    ask,
    call_chunk,
    failure,
    spoken,
    text_chunk,
)


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
    far = f"Mon, {'9' * 20} Jan 2020 00:00:00"
    for odd in (
        f"{far} GMT",
        f"Mon, 01 Jan 2020 00:00:00 +{'9' * 20}",
        "1 Jan 0001 00:00:00 +9999",
    ):
        assert retry_delay_s(429, {"retry-after": odd}, 1) in {0.0, 1.0}
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
        ([b'data: {"choices": [], "arguments": {"to": "a", "to": "b"}}\n\n'], "malformed JSON"),
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


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        (302, True),
        (401, True),
        (413, True),
        (429, True),
        (503, True),
        (500, False),
        (504, False),
        (httpx.ConnectError, True),
        (httpx.ConnectTimeout, True),
        (httpx.ReadTimeout, False),
        (httpx.ReadError, False),
    ],
)
def test_what_the_backend_did_not_take_is_told_from_what_it_may_have_run(
    answer: int | type[httpx.TransportError], refused: bool
) -> None:
    async def answered(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, int):
            stream = httpx.ByteStream(b"")
            return httpx.Response(answer, headers={"retry-after": "0"}, stream=stream)
        raise answer("broken", request=request)

    error = failure("http://model.test/v1", transport=httpx.MockTransport(answered))
    assert isinstance(error, BackendRefused) is refused


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
