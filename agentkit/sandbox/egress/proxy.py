"""An HTTP proxy for one connection of sandboxed code: ``CONNECT`` for TLS, absolute URLs for HTTP.

HTTP is h11's work; what may pass is the door's (see ``door.py``).
What is covered: one request a connection; its target, not its ``Host`` header, decides and is what
the server is told; headers of a hop stay on their hop; nothing is sent before the door's word.
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


async def serve(client: ByteStream, door: EgressDoor) -> None:
    """Serve one request on ``client`` and close it. Never raises for what the code does."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)
    try:
        async with client:
            try:
                with anyio.fail_after(_REQUEST_TIMEOUT_S):
                    request = await _request(client, connection)
                await _serve(client, connection, request, door)
            except (h11.ProtocolError, ValueError) as error:
                await _answer(client, connection, 400, f"no request to a proxy: {error}")
            except Refused as refused:
                await _answer(client, connection, 403, f"refused: {refused}")
            except (OSError, TimeoutError) as error:
                await _answer(client, connection, 502, f"no connection: {type(error).__name__}")
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
        return  # the code has hung up


async def _request(client: ByteStream, connection: h11.Connection) -> h11.Request:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await client.receive(_CHUNK))
    if not isinstance(event, h11.Request):
        raise h11.RemoteProtocolError("a request must come first")
    return event


async def _serve(
    client: ByteStream, connection: h11.Connection, request: h11.Request, door: EgressDoor
) -> None:
    method, target = request.method.decode("ascii"), request.target.decode("ascii")
    host, port, path = _authority(target) if method == "CONNECT" else _absolute(target)
    addresses = await door.admit(host, port, method)
    tally = Tally(door, host, port, method)
    try:
        async with await _connect(addresses, port) as server:
            if method == "CONNECT":
                await client.send(connection.send(h11.Response(status_code=200, headers=[])) or b"")
                await tunnel(client, server, connection.trailing_data[0], tally)
            else:
                literal = f"[{host}]" if ":" in host else host
                authority = literal if port == 80 else f"{literal}:{port}"  # noqa: PLR2004  HTTP's port
                headers = [(b"host", authority.encode("ascii")), *_kept(request.headers)]
                forwarded = h11.Request(
                    method=method, target=path, headers=[*headers, (b"connection", b"close")]
                )
                try:
                    await exchange(client, connection, server, forwarded, tally)
                except h11.RemoteProtocolError as error:
                    raise OSError("the exchange broke off") from error
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


def _kept(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers that are for the other end: none of this hop, nor those it names so."""
    named = {
        part.strip().lower()
        for name, value in headers
        if name == b"connection"
        for part in value.split(b",")
    }
    return [(name, value) for name, value in headers if name not in _HOP and name not in named]


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
