"""A real server on loopback that speaks, and breaks, the OpenAI protocol; and how it is asked."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agentkit.errors import BackendError
from agentkit.labels import Label, SourceKind
from agentkit.messages import (
    FunctionDeclaration,
    Message,
)
from agentkit.model import (
    Constraint,
    Delta,
    FinishDelta,
    GenerationSettings,
    RemoteModel,
    TextDelta,
    ToolCallDelta,
)

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


@contextmanager
def serve() -> Iterator[Server]:
    """Run a server on a free port of this machine."""
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
