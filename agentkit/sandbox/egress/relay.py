"""Carry bytes between sandboxed code and the server it was admitted to, and count them."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import anyio
import h11

from agentkit.sandbox.egress.door import EgressDoor, Refused
from agentkit.sandbox.interface import EgressEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anyio.abc import ByteReceiveStream, ByteStream

__all__ = ["Tally", "exchange", "tunnel"]

_CHUNK = 1 << 15
_IDLE_S = 120.0
_OWN = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"upgrade", b"trailer"})


class Tally:
    """What one request sent and received, told to the door as it goes and once at its end."""

    def __init__(self, door: EgressDoor, host: str, port: int, method: str) -> None:
        self._door = door
        self._request = (host, port, method)
        self._sent = self._received = 0
        self._reason = ""
        self._scope = anyio.CancelScope()

    @contextmanager
    def while_carrying(self) -> Iterator[None]:
        """Bound what is done inside by the time in which nothing is carried. Raises
        ``TimeoutError``.
        """
        self._scope.deadline = anyio.current_time() + _IDLE_S
        with self._scope:
            yield
        if self._scope.cancelled_caught:
            self._reason = f"nothing was carried for {_IDLE_S:g} s"
            raise TimeoutError(self._reason)

    def send(self, data: bytes) -> bytes:
        """Return ``data`` to be sent. Raises ``Refused``."""
        self._pass(self._door.send, data)
        self._sent += len(data)
        return data

    def receive(self, data: bytes) -> bytes:
        """Return ``data`` to be handed over. Raises ``Refused``."""
        self._pass(self._door.receive, data)
        self._received += len(data)
        return data

    def _pass(self, count: Callable[[int], None], data: bytes) -> None:
        self._scope.deadline = anyio.current_time() + _IDLE_S
        try:
            count(len(data))
        except Refused as refused:
            self._reason = str(refused)
            raise

    async def close(self) -> None:
        """Record the end of the request."""
        with suppress(Refused):  # it is over; there is nothing left to refuse
            await self._door.record(
                EgressEvent("closed", *self._request, reason=self._reason,
                            sent_bytes=self._sent, received_bytes=self._received)
            )  # fmt: skip


async def tunnel(client: ByteStream, server: ByteStream, first: bytes, tally: Tally) -> None:
    """Carry bytes both ways until both ends are done. Raises ``Refused``."""
    refused: list[Refused] = []

    async def carry(source: ByteReceiveStream, target: ByteStream, *, out: bool) -> None:
        try:
            async for data in source:
                await target.send(tally.send(data) if out else tally.receive(data))
            await target.send_eof()
        except Refused as reason:
            refused.append(reason)
            group.cancel_scope.cancel()
        except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            group.cancel_scope.cancel()

    if first:
        await server.send(tally.send(first))
    async with anyio.create_task_group() as group:
        group.start_soon(partial(carry, client, server, out=True))
        group.start_soon(partial(carry, server, client, out=False))
    if refused:
        raise refused[0]


async def exchange(
    client: ByteStream,
    connection: h11.Connection,
    server: ByteStream,
    request: h11.Request,
    tally: Tally,
) -> None:
    """Send ``request`` and the body that ``connection`` receives, hand the response back."""
    upstream = h11.Connection(h11.CLIENT)
    await server.send(tally.send(upstream.send(request) or b""))
    if connection.they_are_waiting_for_100_continue:
        go_on = h11.InformationalResponse(status_code=100, headers=[])
        await client.send(connection.send(go_on) or b"")
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await client.receive(_CHUNK))
        elif isinstance(event, h11.Data | h11.EndOfMessage):
            data = upstream.send(event)
            if data:
                await server.send(tally.send(data))
            if isinstance(event, h11.EndOfMessage):
                break
        else:
            raise h11.RemoteProtocolError("the request's body broke off")
    await _hand_back(client, connection, server, upstream, tally)


async def _hand_back(
    client: ByteStream,
    connection: h11.Connection,
    server: ByteStream,
    upstream: h11.Connection,
    tally: Tally,
) -> None:
    while True:
        event = upstream.next_event()
        if event is h11.NEED_DATA:
            try:
                data = await server.receive(_CHUNK)
            except anyio.EndOfStream:
                data = b""
            upstream.receive_data(tally.receive(data))
            continue
        if isinstance(event, h11.Response):
            kept = [(name, value) for name, value in event.headers if name not in _OWN]
            event = h11.Response(
                status_code=event.status_code,
                reason=event.reason,
                headers=[*kept, (b"connection", b"close")],
            )
        if isinstance(event, h11.InformationalResponse):
            continue
        if not isinstance(event, h11.Response | h11.Data | h11.EndOfMessage):
            return
        await client.send(connection.send(event) or b"")
        if isinstance(event, h11.EndOfMessage):
            return
