"""Is this address one that sandboxed code may be connected to?

What is covered: everything that is not a public unicast address is refused: private, loopback,
link-local (and with it the clouds' metadata services), carrier-grade NAT, multicast, reserved; for
IPv6 also every form that carries an IPv4 address in it, where the form itself is no plain mapping.
What is not covered: what a public address stands for. A host's own public address is one.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, TypeAlias

from agentkit.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Network", "forbidden_address", "parse_networks"]

Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"

# Said here, for what ``ipaddress`` knows of the registries differs between versions of Python.
_SPECIAL: dict[str, tuple[str, ...]] = {
    "a cloud's metadata service": ("168.63.129.16/32", "100.100.100.200/32", "fd00:ec2::254/128"),
    "an IPv4 address in IPv6's clothes": (
        "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::ffff:0:0:0/96",
    ),
    "carrier-grade NAT": ("100.64.0.0/10",),
    "a private network": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7",
                          "fec0::/10"),
    "reserved": (
        "0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "100::/64", "2001::/23", "2001:db8::/32",
        "3fff::/20", "5f00::/16",
    ),
}  # fmt: skip


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return networks such as ``10.1.2.0/24``. Raises ``SandboxError``."""
    found = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text))
        except ValueError as error:
            raise SandboxError(
                f"{text!r} is no network: {error}", place="egress", cure="write it as 10.1.2.0/24"
            ) from error
    return tuple(found)


def forbidden_address(text: str, allowed: Iterable[Network] = ()) -> str:
    """Return why ``text`` may not be connected to, as a phrase; empty where it may.

    ``allowed``: networks that are open although they are not public.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "no address"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if any(address in network for network in allowed):
        return ""
    for what, networks in _SPECIAL.items():
        if any(address in ipaddress.ip_network(network) for network in networks):
            return what
    for what, holds in (
        ("loopback", address.is_loopback),
        ("link-local", address.is_link_local),
        ("multicast", address.is_multicast),
        ("unspecified", address.is_unspecified),
        ("reserved", address.is_reserved or not address.is_global),
    ):
        if holds:
            return what
    return ""
