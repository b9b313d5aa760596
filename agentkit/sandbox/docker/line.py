"""The container's own streams, as messages from and to the host; inside the container."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING, Any

from agentkit.sandbox.frames import FrameReader, encode_frame

if TYPE_CHECKING:
    from agentkit.sandbox.docker.outlet import Outlet

__all__ = ["Line"]

_REQUEST_BYTES = 1 << 31


class Line:
    """Messages in, messages out. ``outlet``: what carries the code's connections, if it has any."""

    def __init__(self, requests: int, replies: int) -> None:
        self.fd = requests
        self.outlet: Outlet | None = None
        self._replies = replies
        self._reader = FrameReader(_REQUEST_BYTES)
        self._waiting: list[dict[str, Any]] = []

    def send(self, frame: dict[str, Any]) -> None:
        """Write a message to the container's own output."""
        data = memoryview(encode_frame(frame))
        while data:
            data = data[os.write(self._replies, data) :]

    def read(self) -> bool:
        """Take what has come, or wait for it; false where the host has hung up."""
        data = os.read(self.fd, 1 << 16)
        self._waiting.extend(self._reader.feed(data))
        return bool(data)

    def taken(self) -> list[dict[str, Any]]:
        """Return the messages that are complete, without those of connections."""
        taken, self._waiting = self._waiting, []
        if self.outlet is None:
            return taken
        for message in taken:
            if "wire" in message:
                self.outlet.take(message)
        return [message for message in taken if "wire" not in message]

    def wait(self, poll: select.poll, seconds: float, *, listen: bool) -> dict[int, int]:
        """Wait until something of ``poll`` is ready, and carry connections meanwhile.

        ``poll`` holds this line. ``listen``: whether the host has something to say; a hang-up of
        its is always noticed, and ends the container.
        """
        poll.modify(self.fd, select.POLLIN if listen or self.outlet is not None else 0)
        watched = [] if self.outlet is None else self.outlet.watch(poll)
        ready = dict(poll.poll(seconds * 1000))
        for fd in watched:
            poll.unregister(fd)
        told = ready.pop(self.fd, 0)
        if told and (told != select.POLLIN or not self.read()):
            os._exit(0)
        if self.outlet is not None:
            self.outlet.carry(ready)
        return ready
