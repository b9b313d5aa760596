"""An HTTP proxy for one connection of sandboxed code: ``CONNECT`` for TLS, absolute URLs for HTTP.

HTTP is h11's work; what may pass is the door's (see ``door.py``).
What is covered: one request a connection; its target, not its ``Host`` header, decides and is what
the server is told; headers of a hop stay on their hop, and a body has one framing, written here, so
that the server reads the same request as the door; nothing is sent before the door's word; what is
no request is told as refused too.
What is not covered: what goes through a ``CONNECT`` tunnel. It is the code's own TLS, and a server
of many names may answer there for another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio
import h11

from agentkit.sandbox.egress.door import EgressDoor, Refused
from agentkit.sandbox.egress.relay import Tally, exchange, tunnel
from agentkit.sandbox.interface import EgressEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anyio.abc import ByteStream, SocketStream

__all__ = ["serve"]

_CONNECT_TIMEOUT_S = 10.0
_REQUEST_TIMEOUT_S = 30.0
_HEAD_BYTES = 32 * 1024
_CHUNK = 1 << 15
_HOP = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
    b"proxy-connection", b"te", b"trailer", b"upgrade", b"expect", b"host",
})  # fmt: skip
_LENGTH, _CODING = b"content-length", b"transfer-encoding"
_FRAMING = frozenset(
    {_LENGTH, _CODING}
)  # one of them, as h11 has read it, whoever calls it a hop's
_REASON_LENGTH = 300


class _Unserved(Exception):
    """The request is answered with ``status`` and was recorded as refused."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


async def serve(client: ByteStream, door: EgressDoor, *, busy: bool = False) -> None:
    """Serve one request on ``client`` and close it. Never raises for what the code does.

    ``busy``: there are too many already; the request is recorded and refused.
    """
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)
    try:
        async with client:
            try:
                with anyio.fail_after(_REQUEST_TIMEOUT_S):
                    request, destination = await _asked(client, connection, door)
                if busy:
                    raise await _unserved(door, 503, "too many requests at once", *destination[:2])
                await _serve(client, connection, request, destination, door)
            except _Unserved as unserved:
                await _answer(client, connection, unserved.status, str(unserved))
            except Refused as refused:
                await _answer(client, connection, 403, f"refused: {refused}")
            except (OSError, TimeoutError, h11.ProtocolError) as error:
                await _answer(client, connection, 502, f"no connection: {type(error).__name__}")
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
        return  # the code has hung up


async def _asked(
    client: ByteStream, connection: h11.Connection, door: EgressDoor
) -> tuple[h11.Request, tuple[str, int, str]]:
    """Return the request, and its host, port and path. Raises ``_Unserved`` where it is none."""
    try:
        request = await _request(client, connection)
        return request, _destination(request)
    except (h11.ProtocolError, ValueError) as error:
        raise await _unserved(door, 400, f"no request to a proxy: {error}") from error


async def _unserved(
    door: EgressDoor, status: int, why: str, host: str = "", port: int = 0
) -> _Unserved:
    """Record the refusal, and return what to raise."""
    await door.record(EgressEvent("refused", host, port, "", reason=why[:_REASON_LENGTH]))
    return _Unserved(status, why)


def _destination(request: h11.Request) -> tuple[str, int, str]:
    names = {name for name, _ in request.headers}
    if {_LENGTH, _CODING} <= names:
        raise ValueError("its body has both a length and a transfer encoding")
    target = request.target.decode("ascii")
    return _authority(target) if request.method == b"CONNECT" else _absolute(target)


async def _request(client: ByteStream, connection: h11.Connection) -> h11.Request:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await client.receive(_CHUNK))
    if not isinstance(event, h11.Request):
        raise h11.RemoteProtocolError("a request must come first")
    return event


async def _serve(
    client: ByteStream,
    connection: h11.Connection,
    request: h11.Request,
    destination: tuple[str, int, str],
    door: EgressDoor,
) -> None:
    method = request.method.decode("ascii")
    host, port, path = destination
    addresses = await door.admit(host, port, method)
    tally = Tally(door, host, port, method)
    try:
        async with await _connect(addresses, port) as server:
            with tally.while_carrying():
                if method == "CONNECT":
                    opened = h11.Response(status_code=200, headers=[])
                    await client.send(connection.send(opened) or b"")
                    await tunnel(client, server, connection.trailing_data[0], tally)
                else:
                    forwarded = _forwarded(request, host, port, path)
                    await exchange(client, connection, server, forwarded, tally)
    finally:
        with anyio.CancelScope(shield=True):
            await tally.close()


async def _connect(addresses: list[str], port: int) -> SocketStream:
    """Connect to the first of ``addresses`` that answers; they were checked and are literal."""
    failure: OSError = OSError("no address")
    for address in addresses:
        try:
            with anyio.fail_after(_CONNECT_TIMEOUT_S):
                return await anyio.connect_tcp(address, port)
        except (OSError, TimeoutError) as error:
            failure = OSError(str(error))
    raise failure


def _authority(target: str) -> tuple[str, int, str]:
    host, _, port = target.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError("CONNECT names host:port")
    return host.strip("[]"), int(port), ""


def _absolute(target: str) -> tuple[str, int, str]:
    url = urlsplit(target)
    if url.scheme != "http" or not url.hostname or url.username is not None:
        raise ValueError("name an http:// address without a user; use CONNECT for https")
    path = url.path or "/"
    return url.hostname, url.port or 80, f"{path}?{url.query}" if url.query else path


def _forwarded(request: h11.Request, host: str, port: int, path: str) -> h11.Request:
    """Return the request as the server is to see it."""
    literal = f"[{host}]" if ":" in host else host
    authority = literal if port == 80 else f"{literal}:{port}"  # noqa: PLR2004  HTTP's port
    headers = [
        (b"host", authority.encode("ascii")), *_kept(request.headers), (b"connection", b"close")
    ]  # fmt: skip
    return h11.Request(method=request.method, target=path, headers=headers)


def _kept(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers that are for the other end: none of this hop, nor those it names so."""
    named = {
        part.strip().lower()
        for name, value in headers
        if name == b"connection"
        for part in value.split(b",")
    }
    kept = [(name, value) for name, value in headers if name not in _HOP | named | _FRAMING]
    return kept + [(name, value) for name, value in headers if name in _FRAMING]


async def _answer(client: ByteStream, connection: h11.Connection, status: int, text: str) -> None:
    """Answer with an error of the proxy's own, where an answer can still be given."""
    if connection.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
        return
    body = text.encode("utf-8", "replace")[:500] + b"\n"
    headers = [("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(body))),
               ("connection", "close")]  # fmt: skip
    for event in (
        h11.Response(status_code=status, headers=headers, reason=b"Egress"),
        h11.Data(data=body),
        h11.EndOfMessage(),
    ):
        await client.send(connection.send(event) or b"")
