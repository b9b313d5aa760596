"""The ``sandbox.egress`` section: which servers code in the docker tier may reach."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from agentkit.sandbox.interface import Egress, EgressHost
from agentkit.spec.problems import quoted
from agentkit.spec.section import Fault, Matches, Section, faults

if TYPE_CHECKING:
    from agentkit.sandbox.interface import EgressObserver

__all__ = ["EgressHostSpec", "EgressSpec"]

Method = Literal["CONNECT", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise faults(Fault(f"{quoted(text)} is no network", "write it as 10.1.2.0/24")) from error
    return text


class EgressHostSpec(Section):
    """One server that code may reach."""

    host: Annotated[
        str,
        Matches(
            r"[a-z0-9]([a-z0-9-]{0,62}(\.[a-z0-9-]{1,63})*)?",
            "a host's name in small letters, without scheme, path or wildcard",
            "write the name alone: api.example.org",
            "api.example.org",
        ),
    ] = Field(description="Its name, exactly. Other names of the same server are not allowed.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(default=443, description="Its port.")
    methods: Annotated[list[Method], Field(min_length=1)] = Field(
        default=["CONNECT"],
        description="CONNECT: TLS, whatever is said in it. The others: plain HTTP.",
    )


class EgressSpec(Section):
    """What code may reach, and how much passes. Each request is audited."""

    hosts: Annotated[list[EgressHostSpec], Field(min_length=1, max_length=256)] = Field(
        description="The servers. Nothing else is reached."
    )
    private_networks: list[Annotated[str, AfterValidator(_network)]] = Field(
        default=[],
        description="Networks of your own, such as 10.1.2.0/24, that these names may resolve to.",
    )
    sent_kib: Annotated[int, Field(ge=1, le=1_048_576)] = Field(
        default=1024, description="The most that one session sends, in KiB."
    )
    received_mib: Annotated[int, Field(ge=1, le=65_536)] = Field(
        default=64, description="The most that one session receives, in MiB."
    )
    when_tainted: bool = Field(
        default=False,
        description="true: code keeps its egress although untrusted content has reached it.",
    )

    def policy(self, observe: EgressObserver) -> Egress:
        """Return the same as a sandbox takes it. ``observe``: told of each request."""
        return Egress(
            tuple(EgressHost(one.host, one.port, frozenset(one.methods)) for one in self.hosts),
            sent_bytes=self.sent_kib << 10,
            received_bytes=self.received_mib << 20,
            private_networks=tuple(self.private_networks),
            when_tainted=self.when_tainted,
            observe=observe,
        )
