"""Wires: connections of code in a container, carried as frames over the container's own stream.

The container has no network. Its runner listens on the container's loopback and carries each
connection here as ``{"type": "wire", "wire": n, "data": base64}``; empty data ends that direction,
``hangup`` ends the wire. Each wire is served by the proxy, in this process.

What is covered: how many wires there are, and how much waits on each; one too many is refused and
told, frames of wires that do not exist are dropped. Nothing is left behind: a wire is no network,
no port and no process, and what serves it ends with it.
What is not covered: what passes; that is for ``proxy.py`` and ``door.py``.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

import anyio
import structlog
from anyio.abc import ByteStream

from agentkit.sandbox.egress.proxy import serve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

    from agentkit.sandbox.egress.door import EgressDoor

__all__ = ["WIRE_FRAMES", "Wires"]

WIRE_FRAMES = frozenset({"wire", "wire_taken", "wire_hangup"})
"""The types of frames that are for ``Wires.take``."""

_WIRES = 16
_REFUSALS = 16  # wires that are being told that they are too many; more are dropped
_WINDOW = 256 * 1024
_CHUNK = 32 * 1024
_WAITING_BYTES = 4 << 20
_log = structlog.get_logger(__name__)


class Wires:
    """The wires of one container. ``send`` takes a frame to its runner. ``door``: that of the
    session that holds the container; without one, nothing is served.
    """

    def __init__(self, send: Callable[[dict[str, Any]], Awaitable[None]], group: TaskGroup) -> None:
        self.door: EgressDoor | None = None
        self._send = send
        self._group = group
        self._wires: dict[int, _Wire] = {}

    def take(self, frame: dict[str, Any]) -> None:
        """Take a frame of the types in ``WIRE_FRAMES``."""
        number = frame.get("wire")
        if not isinstance(number, int):
            return
        wire = self._wires.get(number)
        kind = frame["type"]
        if kind == "wire_taken":
            if wire is not None and isinstance(frame.get("bytes"), int):
                wire.open_window(frame["bytes"])
        elif kind == "wire_hangup":
            if wire is not None:
                wire.end()
        elif wire is not None:
            wire.feed(_data(frame))
        elif len(self._wires) < _WIRES + _REFUSALS and self.door is not None:
            busy = len(self._wires) >= _WIRES
            wire = self._wires[number] = _Wire(number, self._send)
            wire.feed(_data(frame))
            self._group.start_soon(self._serve, wire, self.door, busy)

    def hang_up(self) -> None:
        """End all wires: their container is gone."""
        for wire in self._wires.values():
            wire.end()

    async def _serve(self, wire: _Wire, door: EgressDoor, busy: bool) -> None:
        try:
            with wire.scope:
                await serve(wire, door, busy=busy)
        except Exception:  # noqa: BLE001  a defect here ends this connection, and never the session
            _log.exception("sandbox_egress_failed")
            wire.end()
        finally:
            del self._wires[wire.number]


class _Wire(ByteStream):
    """One connection as a stream of bytes."""

    def __init__(self, number: int, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        self.number = number
        self.scope = anyio.CancelScope()
        self._send = send
        self._incoming = bytearray()
        self._ended = self._broken = self._closed = False
        self._window = _WINDOW
        self._changed = anyio.Event()

    def feed(self, data: bytes) -> None:
        """Take what the code sent; nothing is its end of sending."""
        self._ended |= not data
        self._broken |= len(self._incoming) + len(data) > _WAITING_BYTES
        self._incoming += data
        self._changed.set()

    def open_window(self, count: int) -> None:
        """Let ``count`` more bytes be sent."""
        self._window = min(self._window + max(count, 0), _WINDOW)
        self._changed.set()

    def end(self) -> None:
        """Break the wire, and end what serves it: nobody is at its other end."""
        self._ended = self._broken = True
        self._changed.set()
        self.scope.cancel()

    async def receive(self, max_bytes: int = 65536) -> bytes:
        while not self._incoming:
            if self._ended:
                raise anyio.EndOfStream
            await self._change()
        data = bytes(self._incoming[:max_bytes])
        del self._incoming[:max_bytes]
        return data

    async def send(self, item: bytes) -> None:
        view = memoryview(item)
        while view:
            if self._broken:
                raise anyio.BrokenResourceError
            size = min(self._window, _CHUNK, len(view))
            if not size:
                await self._change()
                continue
            self._window -= size
            await self._frame("wire", base64.b64encode(view[:size]).decode("ascii"))
            view = view[size:]

    async def send_eof(self) -> None:
        if not self._broken:
            await self._frame("wire", "")

    async def aclose(self) -> None:
        if not self._closed and not self._broken:
            self._closed = True
            await self._frame("wire_hangup", "")

    async def _change(self) -> None:
        self._changed = anyio.Event()
        await self._changed.wait()

    async def _frame(self, operation: str, data: str) -> None:
        try:
            await self._send({"op": operation, "wire": self.number, "data": data})
        except EOFError as error:
            self.end()
            raise anyio.BrokenResourceError from error


def _data(frame: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(str(frame.get("data", "")), validate=True)
    except (binascii.Error, ValueError):
        return b""
