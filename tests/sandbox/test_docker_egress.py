"""Egress of a real container: the one way out, and that there is no other."""

from __future__ import annotations

import http.server
import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import docker
import pytest

from agentkit.sandbox import (
    Egress,
    EgressEvent,
    EgressHost,
    Execution,
    ExitReason,
    Limits,
    Sandbox,
    Tier,
    open_sandbox,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.docker

BODY = b"served " * 30_000
FETCH = """
import urllib.error, urllib.request

def fetch(url, **options):
    try:
        return len(urllib.request.urlopen(url, timeout=5, **options).read())
    except urllib.error.HTTPError as error:
        return [error.code, error.read().decode()]
    except OSError as error:
        return type(error).__name__
"""
AROUND = """
import socket, subprocess

def reaches(host, port, family=socket.AF_INET):
    with socket.socket(family) as attempt:
        attempt.settimeout(1)
        return attempt.connect_ex((host, port)) == 0

[
    [host for host in ("127.0.0.1", "10.0.0.1", "172.17.0.1", "169.254.169.254", "1.1.1.1")
     if reaches(host, PORT)],
    [port for port in (22, 80, 2375, 3128) if reaches("127.0.0.1", port)],
    sorted(__import__("os").listdir("/sys/class/net")),
]
"""


@pytest.fixture
def server() -> Iterator[int]:
    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY)

        def log_message(self, *args: object) -> None: ...

    with http.server.ThreadingHTTPServer(("0.0.0.0", 0), Answers) as listening:  # noqa: S104  reachable, were there a way
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield int(listening.server_address[1])
        listening.shutdown()


class Kept:
    def __init__(self, port: int) -> None:
        self.events: list[EgressEvent] = []
        self.egress = Egress(
            (EgressHost("localhost", port, frozenset({"GET"})),),
            private_networks=("127.0.0.0/8",),
            observe=self.observe,
        )

    async def observe(self, event: EgressEvent) -> None:
        self.events.append(event)


def _runs(sandbox: Sandbox, egress: Egress, *codes: str | None) -> list[Execution]:
    async def main() -> list[Execution]:
        found = []
        async with sandbox.session(Limits(timeout_s=8), egress=egress) as session:
            for code in codes:
                if code is None:
                    session.taint()
                else:
                    found.append(await session.run(code))
        return found

    return anyio.run(main)


def test_code_reaches_what_is_allowed_and_nothing_else(
    docker_sandbox: Sandbox, server: int
) -> None:
    kept = Kept(server)
    tries = (
        f"[fetch('http://localhost:{server}/'), fetch('http://127.0.0.1:{server}/'),"
        f" fetch('http://localhost:{server}/', data=b'x'), fetch('https://example.org/')]"
    )
    reached, around = _runs(
        docker_sandbox, kept.egress, FETCH + tries, AROUND.replace("PORT", str(server))
    )
    assert isinstance(reached.value, list), reached
    allowed, other_host, other_method, tunnel = reached.value
    assert allowed == len(BODY)
    assert other_host == [403, "refused: this host and port are not on the allowlist\n"]
    assert other_method == [403, "refused: only GET is allowed there\n"]
    assert tunnel == "URLError"
    assert [event.phase for event in kept.events] == ["opened", "closed", *["refused"] * 3]
    assert around.value == [[], [3128], ["lo"]], "no network, and one port to the proxy"


def test_a_tainted_session_loses_its_egress_for_good(docker_sandbox: Sandbox, server: int) -> None:
    kept = Kept(server)
    fetch = FETCH + f"fetch('http://localhost:{server}/')"
    before, after, killed, fresh = _runs(
        docker_sandbox, kept.egress, fetch, None, fetch, "import os; os._exit(1)", fetch
    )
    assert before.value == len(BODY)
    for execution in (after, fresh):
        assert execution.value == [403, "refused: the session has seen untrusted content\n"]
    assert killed.exit_reason is ExitReason.LOST


def test_a_new_interpreter_gets_no_new_allowance(docker_sandbox: Sandbox, server: int) -> None:
    kept = Kept(server)
    egress = replace(kept.egress, received_bytes=len(BODY) * 3 // 2)
    fetch = FETCH + f"fetch('http://localhost:{server}/')"
    first, _, second = _runs(docker_sandbox, egress, fetch, "import os; os.kill(-1, 9)", fetch)
    assert first.value == len(BODY)
    assert second.value != len(BODY)
    assert "bytes were received" in kept.events[-1].reason


def test_many_connections_a_slow_reader_and_a_hang_up_leave_the_session_whole(
    docker_sandbox: Sandbox, server: int
) -> None:
    kept = Kept(server)
    many = FETCH + (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        f"    sizes = list(pool.map(fetch, ['http://localhost:{server}/'] * 12))\n"
        "sizes"
    )
    slow = (
        "import socket, time\n"
        "s = socket.create_connection(('127.0.0.1', 3128))\n"
        f"s.sendall(b'GET http://localhost:{server}/ HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n"
        "time.sleep(0.3); s.recv(10); s.close(); 1"
    )
    flood = (
        "import socket\n"
        "s = [socket.create_connection(('127.0.0.1', 3128)) for _ in range(24)]\n"
        "for one in s[:16]: one.sendall(b'x' * 10000)\n1"
    )
    executions = _runs(docker_sandbox, kept.egress, many, slow, flood, "1 + 1", many)
    assert executions[0].value == [len(BODY)] * 12
    assert [one.value for one in executions[1:4]] == [1, 1, 2]


def test_nothing_of_egress_is_left_behind(docker_sandbox: Sandbox, server: int) -> None:
    engine = docker.from_env()
    before = {network.id for network in engine.networks.list()}
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  a count
    _runs(docker_sandbox, Kept(server).egress, FETCH + f"fetch('http://localhost:{server}/')")
    assert {network.id for network in engine.networks.list()} == before
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 1  # noqa: PTH208  as above
    engine.close()


def test_without_egress_the_port_is_closed_and_wasm_refuses(docker_sandbox: Sandbox) -> None:
    async def main() -> object:
        async with docker_sandbox.session() as session:
            code = "import socket; socket.socket().connect_ex(('127.0.0.1', 3128))"
            return (await session.run(code)).value

    assert anyio.run(main) == 111
    assert open_sandbox(Tier.DOCKER).tier is Tier.DOCKER
