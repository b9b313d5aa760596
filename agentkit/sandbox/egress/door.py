"""Who may be reached, how often and with how much: the decisions of one session's egress.

What is covered: a destination is allowed by name, port and method, and by every address its name
resolves to; the name is resolved once and the connection goes to that very address, so that a name
cannot be one thing when it is checked and another when it is used. Bytes are counted in both
directions over the whole session. Tainted sessions reach nothing, unless the policy says otherwise;
what is open at that moment carries nothing more. Each request is told to the observer before it is
connected, and one that cannot be told is refused.
What is not covered: what is sent to an allowed host. An allowlist is no filter of content.
"""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, TypeAlias

import anyio
import structlog

from agentkit.errors import SandboxError
from agentkit.sandbox.egress.addresses import forbidden_address, parse_networks
from agentkit.sandbox.interface import EgressEvent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentkit.sandbox.interface import Egress

__all__ = ["EgressDoor", "Refused", "Resolver"]

Resolver: TypeAlias = "Callable[[str, int], Awaitable[list[str]]]"
"""Host and port → addresses. Raises ``OSError`` where there are none."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,62}(\.[a-z0-9-]{1,63})*)?|\[?[0-9a-f:.]+\]?")
_NAME_LENGTH = 253
_RESOLVE_TIMEOUT_S = 5.0
_PORTS = range(1, 1 << 16)
_log = structlog.get_logger(__name__)


class Refused(Exception):
    """This request, or these bytes, do not pass. The text says why."""


class EgressDoor:
    """Decides for one session, however many interpreters it uses up."""

    def __init__(self, egress: Egress, *, resolve: Resolver | None = None) -> None:
        """``resolve``: how names become addresses; the system's resolver by default."""
        self._egress = egress
        self._private = parse_networks(egress.private_networks)
        self._resolve = resolve or _system_addresses
        self._tainted = False
        self._sent = self._received = 0
        self._allowed: dict[tuple[str, int], frozenset[str]] = {}
        for one in egress.hosts:
            name = normal_name(one.host)
            if name is None or one.port not in _PORTS or not one.methods:
                raise SandboxError(
                    f"{one.host!r} port {one.port} is no destination",
                    place="egress",
                    cure="name a host in ASCII without scheme or path, a port and its methods",
                )
            known = self._allowed.get((name, one.port), frozenset())
            self._allowed[name, one.port] = known | {method.upper() for method in one.methods}

    def taint(self) -> None:
        """Close for the rest of the session, where the policy does not leave it open."""
        self._tainted = True

    async def admit(self, host: str, port: int, method: str) -> list[str]:
        """Return the addresses to connect to. Raises ``Refused``, which was recorded."""
        try:
            addresses = await self._decide(host, port, method)
        except Refused as refused:
            await self.record(EgressEvent("refused", host, port, method, reason=str(refused)))
            raise
        await self.record(EgressEvent("opened", host, port, method, address=addresses[0]))
        return addresses

    def send(self, count: int) -> None:
        """Count bytes that go out. Raises ``Refused`` before those that are over the limit."""
        self._check_open()
        self._sent += count
        if self._sent > self._egress.sent_bytes:
            raise Refused(f"over {self._egress.sent_bytes} bytes were sent")

    def receive(self, count: int) -> None:
        """Count bytes that come in. Raises ``Refused`` before those that are over the limit."""
        self._check_open()
        self._received += count
        if self._received > self._egress.received_bytes:
            raise Refused(f"over {self._egress.received_bytes} bytes were received")

    async def record(self, event: EgressEvent) -> None:
        """Tell the observer. Raises ``Refused`` where it cannot be told."""
        _log.info("sandbox_egress", phase=event.phase, host=event.host, port=event.port,
                  method=event.method, address=event.address, reason=event.reason,
                  sent=event.sent_bytes, received=event.received_bytes)  # fmt: skip
        if self._egress.observe is None:
            return
        try:
            await self._egress.observe(event)
        except Exception as error:  # what cannot be audited is refused, whatever broke
            _log.exception("sandbox_egress_not_recorded")
            raise Refused("the request could not be recorded") from error

    def _check_open(self) -> None:
        if self._tainted and not self._egress.when_tainted:
            raise Refused("the session has seen untrusted content")

    async def _decide(self, host: str, port: int, method: str) -> list[str]:
        self._check_open()
        spent = self._sent >= self._egress.sent_bytes
        if spent or self._received >= self._egress.received_bytes:
            raise Refused("the bytes of the session are used up")
        name = normal_name(host)
        methods = self._allowed.get((name or "", port))
        if name is None or methods is None:
            raise Refused("this host and port are not on the allowlist")
        if method not in methods:
            raise Refused(f"only {', '.join(sorted(methods))} is allowed there")
        addresses: list[str] = []
        with anyio.move_on_after(_RESOLVE_TIMEOUT_S):
            try:
                addresses = await self._resolve(name.strip("[]"), port)
            except OSError as error:
                raise Refused("the name does not resolve") from error
        if not addresses:
            raise Refused("the name does not resolve")
        for address in addresses:
            what = forbidden_address(address, self._private)
            if what:
                raise Refused(f"it resolves to {address}, which is {what}")
        return addresses


def normal_name(host: str) -> str | None:
    """Return a host's name as it is compared; None where it is none."""
    name = host.lower().removesuffix(".")
    return name if len(name) <= _NAME_LENGTH and _NAME.fullmatch(name) else None


async def _system_addresses(host: str, port: int) -> list[str]:
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))
