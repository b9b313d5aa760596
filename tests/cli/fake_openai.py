"""An OpenAI-compatible server on loopback that speaks the real protocol and says what it is told.

The models it stands for cost money or a large machine; the protocol (server-sent events, pieces of
calls, usage at the end) is the real one.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FakeOpenAI", "Reply", "serve"]


@dataclass(frozen=True)
class Reply:
    """One reply: text, or calls as (name, arguments); ``delay_s`` before it begins."""

    text: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    delay_s: float = 0.0
    status: int = 200


@dataclass
class FakeOpenAI:
    """What is said, in order (the last one again and again), and what was asked."""

    replies: list[Reply]
    requests: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    asked: threading.Event = field(default_factory=threading.Event)

    def next(self, request: dict[str, Any]) -> Reply:
        self.requests.append(request)
        self.asked.set()
        return self.replies[min(len(self.requests), len(self.replies)) - 1]


@contextmanager
def serve(*replies: Reply) -> Iterator[FakeOpenAI]:
    """Serve ``replies`` until the context ends."""
    fake = FakeOpenAI(list(replies))

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            reply = fake.next(body)
            time.sleep(reply.delay_s)
            if reply.status != 200:
                self._whole(reply.status, {"error": {"message": reply.text}})
                return
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("connection", "close")
            self.end_headers()
            for chunk in _chunks(reply):
                self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
            self.wfile.write(b"data: [DONE]\n\n")
            self.close_connection = True

        def _whole(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that was killed closes its end; that is what some tests are about."""

    server = Server(("127.0.0.1", 0), Answers)
    fake.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _chunks(reply: Reply) -> Iterator[dict[str, Any]]:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}

    yield chunk({"role": "assistant", "content": ""})
    for start in range(0, len(reply.text), 7):
        yield chunk({"content": reply.text[start : start + 7]})
    for index, (name, arguments) in enumerate(reply.calls):
        spelled = json.dumps(arguments)
        function = {"name": name, "arguments": ""}
        call = {"index": index, "id": f"c{index}", "type": "function", "function": function}
        yield chunk({"tool_calls": [call]})
        for start in range(0, len(spelled), 11):
            piece = {"index": index, "function": {"arguments": spelled[start : start + 11]}}
            yield chunk({"tool_calls": [piece]})
    yield chunk({}, "tool_calls" if reply.calls else "stop")
    usage = {"prompt_tokens": 50, "completion_tokens": 10, "total_tokens": 60}
    yield {"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": usage}
