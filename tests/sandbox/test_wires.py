"""Connections of code in a container, as the host serves them: bounded, ended, told, never cut."""

from __future__ import annotations

import base64
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from agentkit.sandbox import Egress, EgressEvent, EgressHost, Limits
from agentkit.sandbox.docker.container import ContainerWorker
from agentkit.sandbox.egress import EgressDoor, Wires, relay
from agentkit.sandbox.frames import FrameReader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from anyio.abc import ByteStream

pytestmark = pytest.mark.anyio


class Silent:
    """A server that takes requests and never answers, and the wires of a container to it."""

    def __init__(self) -> None:
        self.events: list[EgressEvent] = []
        self.frames: list[dict[str, Any]] = []
        self.changed = anyio.Event()
        self.port = 0
        self.wires: Wires

    async def observe(self, event: EgressEvent) -> None:
        self.events.append(event)
        self.changed.set()

    async def serve(self, stream: ByteStream) -> None:
        async with stream:
            with suppress(anyio.EndOfStream):
                await stream.receive()
            await anyio.sleep_forever()

    async def send(self, frame: dict[str, Any]) -> None:
        self.frames.append(frame)
        self.changed.set()

    def door(self) -> EgressDoor:
        allowed = EgressHost("127.0.0.1", self.port, frozenset({"GET", "CONNECT"}))
        return EgressDoor(
            Egress((allowed,), private_networks=("127.0.0.0/8",), observe=self.observe)
        )

    def ask(self, number: int) -> None:
        head = f"GET http://127.0.0.1:{self.port}/ HTTP/1.1\r\nHost: x\r\n\r\n"
        data = base64.b64encode(head.encode()).decode()
        self.wires.take({"type": "wire", "wire": number, "data": data})

    async def until(self, ready: Callable[[], bool]) -> None:
        with anyio.fail_after(20):
            while not ready():
                self.changed = anyio.Event()
                await self.changed.wait()

    async def told(self, phase: str, count: int) -> None:
        await self.until(lambda: sum(event.phase == phase for event in self.events) >= count)

    def answered(self, number: int) -> bytes:
        return b"".join(
            base64.b64decode(frame["data"]) for frame in self.frames if frame["wire"] == number
        )


@asynccontextmanager
async def silent() -> AsyncIterator[Silent]:
    site = Silent()
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
    ):
        site.port = int(listener.extra(anyio.abc.SocketAttribute.local_port))  # noqa: S610  no database here
        group.start_soon(listener.serve, site.serve)
        site.wires = Wires(site.send, group)
        site.wires.door = site.door()
        yield site
        group.cancel_scope.cancel()


async def test_a_wire_that_hangs_up_takes_its_request_with_it() -> None:
    """A run that is over leaves no request behind that holds a place of the next tenant's."""
    async with silent() as site:
        for number in range(16):
            site.ask(number)
        await site.told("opened", 16)
        for number in range(16):
            site.wires.take({"type": "wire_hangup", "wire": number})
        await site.told("closed", 16)
        await anyio.wait_all_tasks_blocked()
        site.wires.door = site.door()
        site.ask(16)
        await site.told("opened", 17)
    assert [event.phase for event in site.events].count("refused") == 0


async def test_one_wire_too_many_is_answered_and_told() -> None:
    async with silent() as site:
        for number in range(17):
            site.ask(number)
        await site.told("refused", 1)
        await site.until(lambda: site.answered(16).endswith(b"at once\n"))
    assert site.answered(16).startswith(b"HTTP/1.1 503 ")
    (refused,) = (event for event in site.events if event.phase == "refused")
    assert (refused.host, refused.port) == ("127.0.0.1", site.port)
    assert refused.reason == "too many requests at once"


async def test_a_request_that_carries_nothing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "_IDLE_S", 0.1)
    async with silent() as site:
        site.ask(1)
        await site.told("closed", 1)
    assert site.events[-1].reason == "nothing was carried for 0.1 s"


class _NoEngine:
    api = None


async def test_a_frame_that_was_begun_is_sent_to_its_end() -> None:
    """All wires and all requests of a container share one stream: half a frame ends them all."""
    worker = ContainerWorker(_NoEngine(), Limits())  # type: ignore[arg-type]  # nothing is asked of it
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for end in (ours, theirs):
            end.setblocking(False)
        worker._socket = ours
        received: list[dict[str, Any]] = []
        reader = FrameReader(1 << 31)

        async def cancel_and_drain(scope: anyio.CancelScope) -> None:
            scope.cancel()
            while len(received) < 2:
                await anyio.wait_readable(theirs)
                received.extend(reader.feed(theirs.recv(1 << 16)))

        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:
                group.start_soon(cancel_and_drain, scope)
                await worker.send({"op": "wire", "data": "x" * (8 << 20)})
                await anyio.sleep_forever()
            await worker.send({"op": "run"})
    assert [frame["op"] for frame in received] == ["wire", "run"]
