"""The container's end of egress: a port on its loopback, each connection carried out as frames.

Inside the container, in its process 1. See ``egress/wires.py`` for the other end, which decides.
Connections are served while a run is going on, and end with the interpreter that opened them.
"""

from __future__ import annotations

import base64
import select
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PORT", "Outlet"]

PORT = 3128
_WIRES = 16
_CHUNK = 32 * 1024


class Outlet:
    """Listens for connections of code, and carries them. ``send`` takes a frame to the host."""

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self._send = send
        self._listener = socket.create_server(("127.0.0.1", PORT), backlog=_WIRES)
        self._listener.setblocking(False)
        self._wires: dict[int, _Wire] = {}
        self._count = 0

    def watch(self, poll: select.poll) -> list[int]:
        """Register what may become ready; return its descriptors."""
        watched = {wire.fd: wire.events for wire in self._wires.values()}
        if len(self._wires) < _WIRES:
            watched[self._listener.fileno()] = select.POLLIN
        for fd, events in watched.items():
            poll.register(fd, events)
        return list(watched)

    def carry(self, ready: dict[int, int]) -> None:
        """Take and give what is ready."""
        if self._listener.fileno() in ready:
            self._accept()
        for wire in list(self._wires.values()):
            if wire.fd in ready and not wire.carry(ready[wire.fd]):
                self._hang_up(wire)

    def take(self, frame: dict[str, Any]) -> None:
        """Take a frame of the host's: data for a wire, or its end."""
        wire = self._wires.get(frame["wire"])
        if wire is None:
            return
        if frame["op"] == "wire":
            wire.give(base64.b64decode(frame["data"]))
        else:
            wire.finish()
        if not wire.flush():
            self._hang_up(wire)

    def close_all(self) -> None:
        """End all connections, and those that wait to be accepted."""
        for wire in list(self._wires.values()):
            self._hang_up(wire)
        while (waiting := self._next()) is not None:
            waiting.close()

    def _next(self) -> socket.socket | None:
        try:
            return self._listener.accept()[0]
        except OSError:
            return None

    def _accept(self) -> None:
        accepted = self._next()
        if accepted is not None:
            self._count += 1
            accepted.setblocking(False)
            self._wires[self._count] = _Wire(self._count, accepted, self._send)

    def _hang_up(self, wire: _Wire) -> None:
        wire.close()
        del self._wires[wire.number]
        self._send({"type": "wire_hangup", "wire": wire.number})


class _Wire:
    def __init__(
        self, number: int, connection: socket.socket, send: Callable[[dict[str, Any]], None]
    ) -> None:
        self.number = number
        self._connection = connection
        self._send = send
        self._outgoing = bytearray()
        self._reading = True
        self._ending = self._finished = False

    @property
    def fd(self) -> int:
        return self._connection.fileno()

    @property
    def events(self) -> int:
        reading = select.POLLIN if self._reading else 0
        return reading | (select.POLLOUT if self._outgoing else 0)

    def carry(self, ready: int) -> bool:
        """Read and write; return whether the wire goes on."""
        if ready & (select.POLLERR | select.POLLNVAL):
            return False
        if ready & select.POLLOUT and not self.flush():
            return False
        if ready & (select.POLLIN | select.POLLHUP):
            if not self._reading:
                return not ready & select.POLLHUP
            try:
                data = self._connection.recv(_CHUNK)
            except BlockingIOError:
                return True
            except OSError:
                return False
            self._reading = bool(data)
            encoded = base64.b64encode(data).decode("ascii")
            self._send({"type": "wire", "wire": self.number, "data": encoded})
        return True

    def give(self, data: bytes) -> None:
        """Take data for the code; nothing is the server's end of sending."""
        self._outgoing += data
        self._ending |= not data

    def finish(self) -> None:
        """Take the host's hang-up: what is left is still given."""
        self._finished = True

    def flush(self) -> bool:
        """Write what can be written; return whether the wire goes on."""
        try:
            while self._outgoing:
                count = self._connection.send(self._outgoing)
                del self._outgoing[:count]
                self._send({"type": "wire_taken", "wire": self.number, "bytes": count})
            if self._ending:
                self._ending = False
                self._connection.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return not self._finished

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
