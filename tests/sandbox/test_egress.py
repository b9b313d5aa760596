"""The door and its proxy, over real connections: what passes, what does not, and what is told."""

from __future__ import annotations

import ipaddress
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.errors import SandboxError
from agentkit.sandbox import Egress, EgressEvent, EgressHost
from agentkit.sandbox.egress import EgressDoor, serve
from agentkit.sandbox.egress.addresses import forbidden_address, parse_networks
from agentkit.sandbox.egress.door import Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import ByteStream

pytestmark = pytest.mark.anyio

LOOPBACK = ("127.0.0.0/8",)
REPLY = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
FORBIDDEN = [
    "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "169.254.0.1", "100.64.0.1", "100.100.100.200", "168.63.129.16",
    "192.0.0.192", "0.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "198.18.0.1",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
    "2001:0:7f00:1::", "::ffff:0:127.0.0.1", "2001:db8::1", "", "localhost", "0x7f.1", "127.1",
    "2130706433",
]  # fmt: skip


@pytest.mark.parametrize("address", FORBIDDEN)
def test_addresses_that_are_not_public_are_forbidden(address: str) -> None:
    assert forbidden_address(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "8.8.8.8",
                                     "::ffff:1.1.1.1", "100.128.0.1", "172.32.0.1"])  # fmt: skip
def test_public_addresses_pass(address: str) -> None:
    assert forbidden_address(address) == ""


@given(st.ip_addresses())
def test_what_passes_is_public_by_the_registry(address: Any) -> None:
    if not forbidden_address(str(address)):
        plain = getattr(address, "ipv4_mapped", None) or address
        assert plain.is_global
        assert not plain.is_multicast
        assert not plain.is_reserved


@given(st.ip_addresses(v=4))
def test_ipv6_forms_of_an_ipv4_address_open_nothing_more(address: ipaddress.IPv4Address) -> None:
    mapped = forbidden_address(f"::ffff:{address}")
    assert bool(mapped) == bool(forbidden_address(str(address)))
    assert forbidden_address(f"64:ff9b::{address}")
    assert forbidden_address(str(ipaddress.IPv6Address((0x2002 << 112) | (int(address) << 80))))


def test_a_private_network_is_opened_by_name_only() -> None:
    networks = parse_networks(["10.1.2.0/24"])
    assert forbidden_address("10.1.2.7", networks) == ""
    assert forbidden_address("::ffff:10.1.2.7", networks) == ""
    assert forbidden_address("10.1.3.7", networks)
    with pytest.raises(SandboxError, match="no network"):
        parse_networks(["10.1.2.0/99"])


@pytest.mark.parametrize("host", ["", "a b", "http://x", "x/y", "*.example.org", "é.example", "x:1",
                                  "a" * 300])  # fmt: skip
def test_destinations_that_are_none_are_refused_at_once(host: str) -> None:
    with pytest.raises(SandboxError, match="is no destination"):
        EgressDoor(Egress((EgressHost(host),)))


class Site:
    """A server on the loopback that keeps what it was sent, and a door to it."""

    def __init__(self, reply: bytes = REPLY) -> None:
        self.reply = reply
        self.requests: list[bytes] = []
        self.events: list[EgressEvent] = []
        self.port = 0

    async def observe(self, event: EgressEvent) -> None:
        self.events.append(event)

    async def answer(self, stream: ByteStream) -> None:
        async with stream:
            data = b""
            while b"\r\n\r\n" not in data:
                try:
                    data += await stream.receive()
                except anyio.EndOfStream:
                    return
            self.requests.append(data)
            await stream.send(self.reply)

    def egress(self, host: str = "localhost", *methods: str) -> Egress:
        allowed = EgressHost(host, self.port, frozenset(methods or ("GET", "POST", "CONNECT")))
        return Egress((allowed,), private_networks=LOOPBACK, observe=self.observe)


@asynccontextmanager
async def listening(handler: Any) -> AsyncIterator[int]:
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.serve, handler)
        yield int(listener.extra(anyio.abc.SocketAttribute.local_port))  # noqa: S610  no database here
        group.cancel_scope.cancel()


@asynccontextmanager
async def opened(site: Site) -> AsyncIterator[None]:
    async with listening(site.answer) as site.port:
        yield


@asynccontextmanager
async def through(door: EgressDoor) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        listening(partial(serve, door=door)) as port,
        httpx.AsyncClient(proxy=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        yield client


async def raw(door: EgressDoor, request: bytes) -> bytes:
    """Send bytes to the proxy, and return all that comes back."""
    async with (
        listening(partial(serve, door=door)) as port,
        await anyio.connect_tcp("127.0.0.1", port) as stream,
    ):
        await stream.send(request)
        data = b""
        with anyio.move_on_after(5):
            async for piece in stream:
                data += piece
        return data


async def test_an_allowed_request_passes_and_is_told_before_and_after() -> None:
    site = Site()
    async with opened(site), through(EgressDoor(site.egress())) as client:
        answer = await client.get(f"http://localhost:{site.port}/a?b=c", headers={"X-Own": "1"})
    assert answer.text == "hello"
    head = site.requests[0].lower()
    assert head.startswith(b"get /a?b=c http/1.1\r\n")
    assert f"host: localhost:{site.port}".encode() in head
    assert b"x-own: 1" in head
    assert b"proxy-" not in head
    assert [event.phase for event in site.events] == ["opened", "closed"]
    assert site.events[0].address == "127.0.0.1"
    assert site.events[1].received_bytes == len(REPLY)
    assert site.events[1].sent_bytes == len(site.requests[0])


async def test_the_target_decides_and_not_the_host_header() -> None:
    site = Site()
    async with opened(site):
        head = f"GET http://localhost:{site.port}/ HTTP/1.1\r\nHost: evil.example\r\n\r\n"
        assert b"200 OK" in await raw(EgressDoor(site.egress()), head.encode())
    assert b"evil" not in site.requests[0]


async def test_a_body_passes() -> None:
    site = Site()
    async with opened(site), through(EgressDoor(site.egress())) as client:
        await client.post(f"http://localhost:{site.port}/", content=b"x" * 1000)
    assert site.events[-1].sent_bytes > 1000


async def test_a_tunnel_carries_both_ways() -> None:
    site = Site(b"back")
    async with opened(site):
        head = f"CONNECT localhost:{site.port} HTTP/1.1\r\nHost: x\r\n\r\nthere\r\n\r\n"
        data = await raw(EgressDoor(site.egress()), head.encode())
    assert data.startswith(b"HTTP/1.1 200")
    assert data.endswith(b"back")
    assert site.requests == [b"there\r\n\r\n"]
    assert (site.events[-1].sent_bytes, site.events[-1].received_bytes) == (9, 4)


REFUSED = {
    "other host": "GET http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "other port": "GET http://localhost:1/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "other method": "DELETE http://localhost:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "lower method": "get http://localhost:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "tunnel elsewhere": "CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\n\r\n",
    "IPv6 literal": "CONNECT [::ffff:127.0.0.1]:{port} HTTP/1.1\r\nHost: x\r\n\r\n",
    "number": "GET http://2130706433:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "suffix": "GET http://localhost.evil.example:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n",
}
NONSENSE = {
    "relative": "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "user": "GET http://localhost@evil.example:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "other scheme": "GET ftp://localhost:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "file": "GET file:///etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    "no port": "CONNECT localhost HTTP/1.1\r\nHost: x\r\n\r\n",
    "smuggled": "POST http://localhost:{port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
    "Transfer-Encoding: chunked, identity\r\n\r\nabc",
    "two lengths": "POST http://localhost:{port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
    "Content-Length: 4\r\n\r\nabc",
    "two framings": "POST http://localhost:{port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
    "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "no HTTP": "\x16\x03\x01 hello\r\n\r\n",
    "endless head": "GET http://localhost:{port}/ HTTP/1.1\r\nX: " + "y" * 70_000,
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_not_allowed_is_refused_and_told(name: str) -> None:
    site = Site()
    async with opened(site):
        door = EgressDoor(site.egress("localhost", "GET", "CONNECT"))
        data = await raw(door, REFUSED[name].format(port=site.port).encode())
    assert data.startswith(b"HTTP/1.1 403 "), data
    assert site.requests == []
    assert [event.phase for event in site.events] == ["refused"]
    assert site.events[0].reason


@pytest.mark.parametrize("name", NONSENSE)
async def test_what_is_no_request_reaches_nothing(name: str) -> None:
    site = Site()
    async with opened(site):
        data = await raw(EgressDoor(site.egress()), NONSENSE[name].format(port=site.port).encode())
    assert data.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ")), data
    assert site.requests == []
    assert [event.phase for event in site.events] == ["refused"]
    assert site.events[0].reason.startswith("no request to a proxy: ")


async def test_a_body_keeps_its_framing_whoever_calls_it_a_hop_of_his() -> None:
    site = Site()
    async with opened(site):
        head = f"POST http://localhost:{site.port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
        data = await raw(
            EgressDoor(site.egress()), f"{head}Connection: content-length\r\n\r\nabc".encode()
        )
    assert b"200 OK" in data
    assert b"content-length: 3\r\n" in site.requests[0].lower()


async def test_a_private_address_is_refused_whatever_its_name() -> None:
    site = Site()
    async with opened(site):
        closed = replace(site.egress(), private_networks=())
        with pytest.raises(Refused, match=r"127.0.0.1, which is loopback|::1, which is"):
            await EgressDoor(closed).admit("localhost", site.port, "GET")


async def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["93.184.216.34", "169.254.169.254"]

    door = EgressDoor(Egress((EgressHost("mixed.example"),)), resolve=resolve)
    with pytest.raises(Refused, match=r"metadata|link-local"):
        await door.admit("mixed.example", 443, "CONNECT")


async def test_a_name_that_changes_its_mind_is_asked_once() -> None:
    """DNS rebinding: the second answer would lead elsewhere, and is never asked for."""
    site = Site()
    answers = [["127.0.0.1"], ["10.0.0.1"]]

    async def resolve(host: str, port: int) -> list[str]:
        return answers.pop(0)

    async with opened(site):
        door = EgressDoor(site.egress("rebind.example"), resolve=resolve)
        head = f"GET http://rebind.example:{site.port}/ HTTP/1.1\r\nHost: x\r\n\r\n"
        assert b"hello" in await raw(door, head.encode())
    assert answers == [["10.0.0.1"]]
    assert site.events[0].address == "127.0.0.1"


async def test_names_that_do_not_resolve_are_refused() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    door = EgressDoor(Egress((EgressHost("gone.example"),)), resolve=resolve)
    with pytest.raises(Refused, match="does not resolve"):
        await door.admit("GONE.example.", 443, "CONNECT")


async def test_bytes_are_counted_over_the_session_in_both_directions() -> None:
    site = Site(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n" + b"x" * 5000)
    async with opened(site):
        door = EgressDoor(replace(site.egress(), received_bytes=8000))
        head = f"GET http://localhost:{site.port}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        whole = await raw(door, head)
        cut = await raw(door, head)
        small = EgressDoor(replace(site.egress(), sent_bytes=50))
        refused = await raw(
            small, head.replace(b"Host: x", b"Host: " + b"x" * 9 + b"\r\nX: " + b"y" * 99)
        )
    assert len(whole) > 5000
    assert len(cut) < 5000
    assert "over 8000 bytes were received" in site.events[3].reason
    with pytest.raises(Refused, match="used up"):
        await small.admit("localhost", site.port, "CONNECT")
    assert refused.startswith(b"HTTP/1.1 403 ")
    assert len(site.requests) == 2


async def test_a_tainted_session_reaches_nothing_and_open_tunnels_carry_nothing_more() -> None:
    received: list[bytes] = []

    async def keep(stream: ByteStream) -> None:
        async with stream:
            async for data in stream:
                received.append(data)
                await stream.send(b"got it")

    site = Site()
    async with listening(keep) as site.port:
        door = EgressDoor(site.egress())
        async with (
            listening(partial(serve, door=door)) as port,
            await anyio.connect_tcp("127.0.0.1", port) as stream,
        ):
            await stream.send(f"CONNECT localhost:{site.port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await stream.receive()
            await stream.send(b"before")
            assert await stream.receive() == b"got it"
            door.taint()
            await stream.send(b"after")
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stream.receive()
        with pytest.raises(Refused, match="untrusted content"):
            await door.admit("localhost", site.port, "CONNECT")
        lenient = EgressDoor(replace(site.egress(), when_tainted=True))
        lenient.taint()
        assert await lenient.admit("localhost", site.port, "CONNECT")
    assert received == [b"before"]


async def test_what_cannot_be_recorded_is_refused() -> None:
    async def broken(event: EgressEvent) -> None:
        raise OSError("the audit log's disk is full")

    site = Site()
    async with opened(site):
        door = EgressDoor(replace(site.egress(), observe=broken))
        head = f"GET http://localhost:{site.port}/ HTTP/1.1\r\nHost: x\r\n\r\n"
        data = await raw(door, head.encode())
    assert b"could not be recorded" in data
    assert site.requests == []


async def test_a_server_that_is_not_there_or_breaks_off_is_a_gateway_error() -> None:
    site = Site(b"HTTP/1.1 200 OK\r\ncontent-")
    async with opened(site):
        head = f"GET http://localhost:{site.port}/ HTTP/1.1\r\nHost: x\r\n\r\n"
        door = EgressDoor(site.egress())
        assert (await raw(door, head.encode())).startswith(b"HTTP/1.1 502 ")
    assert (await raw(door, head.encode())).startswith(b"HTTP/1.1 502 ")


@given(st.binary(max_size=300))
def test_no_bytes_break_the_proxy(data: bytes) -> None:
    site = Site()
    site.port = 80

    class Stream(anyio.abc.ByteStream):
        def __init__(self) -> None:
            self.given = [data]
            self.answer = b""

        async def receive(self, max_bytes: int = 65536) -> bytes:
            if not self.given:
                raise anyio.EndOfStream
            return self.given.pop()

        async def send(self, item: bytes) -> None:
            self.answer += item

        async def send_eof(self) -> None: ...

        async def aclose(self) -> None: ...

    stream = Stream()
    anyio.run(serve, stream, EgressDoor(site.egress("nowhere.example")))
    assert not stream.answer or stream.answer.startswith(b"HTTP/1.1 4")
