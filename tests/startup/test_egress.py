"""Egress from agent.yaml to the audit log: stated, audited before it happens, gone with taint."""

from __future__ import annotations

import http.server
import threading
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import anyio
import pytest

from agentkit.audit import read_events, verify
from agentkit.cli.audit_words import said
from agentkit.errors import SpecError
from agentkit.progress import silent
from agentkit.spec import load_spec
from agentkit.startup import start
from agentkit.tools import ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BEFORE = """version: 1
name: test
model: {source: remote, url: 'http://127.0.0.1:9/v1', id: test, licence: apache-2.0}
deployment:
  principal: {name: Fjordtall AS, kind: company, country: "NO"}
  distribution: internal
tools: {python: {}}
"""
FETCH = """
import urllib.error, urllib.request
try:
    print(urllib.request.urlopen("http://localhost:PORT/", timeout=5).read().decode())
except urllib.error.HTTPError as error:
    print(error.read().decode())
"""


@pytest.fixture
def server() -> Iterator[int]:
    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "6")
            self.end_headers()
            self.wfile.write(b"served")

        def log_message(self, *args: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield int(listening.server_address[1])
        listening.shutdown()


def _write(folder: Path, sandbox: str) -> Path:
    path = folder / "agent.yaml"
    path.write_text(BEFORE + sandbox, encoding="utf-8")
    return path


@pytest.mark.docker
def test_a_stated_server_is_reached_audited_and_lost_with_untrusted_content(
    tmp_path: Path, docker_image: str, server: int
) -> None:
    path = _write(
        tmp_path,
        "sandbox:\n  tier: docker\n  egress:\n"
        f"    hosts: [{{host: localhost, port: {server}, methods: [GET]}}]\n"
        "    private_networks: [127.0.0.0/8]\n",
    )
    code = FETCH.replace("PORT", str(server))

    async def main() -> list[str]:
        async with AsyncExitStack() as stack:
            rooms = await start(
                load_spec(path), "run", stack, progress=silent, observe=lambda _: None
            )
            (python,) = rooms.tools
            return [
                await python.function(ToolCall(name, {"code": code}, name, tainted=tainted))
                for name, tainted in (("1", False), ("2", True), ("3", False))
            ]

    clean, tainted, after = anyio.run(main)
    assert clean == "served"
    assert tainted.strip() == after.strip() == "refused: the session has seen untrusted content"
    entries = [e for e in read_events(tmp_path / "audit-log") if e.record.kind.value == "egress"]
    phases = [entry.record.body["phase"] for entry in entries]
    assert phases == ["opened", "closed", "refused", "refused"]
    assert f"GET localhost:{server}" in said(entries[0])
    assert verify(tmp_path / "audit-log").ok


@pytest.mark.parametrize(
    ("sandbox", "found"),
    [
        ("{tier: wasm, egress: {hosts: [{host: a.example}]}}", "egress needs the docker tier"),
        ("{packages: [numpy]}", "cannot hold .numpy.: it is not pure Python"),
        ("{tier: docker, egress: {hosts: []}}", "hosts"),
        ("{tier: docker, egress: {hosts: [{host: '*.example'}]}}", "host"),
        ("{tier: docker, egress: {hosts: [{host: 'http://a.example'}]}}", "host"),
        ("{tier: docker, egress: {hosts: [{host: a.example, methods: [TRACE]}]}}", "methods"),
        (
            "{tier: docker, egress: {hosts: [{host: a.example}], private_networks: [10.0.0.1/8]}}",
            "is no network",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(
    tmp_path: Path, sandbox: str, found: str
) -> None:
    with pytest.raises(SpecError, match=found) as caught:
        load_spec(_write(tmp_path, f"sandbox: {sandbox}\n"))
    assert "agent.yaml:8" in caught.value.render()
