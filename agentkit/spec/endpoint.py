"""A server that speaks the OpenAI protocol: where it is, what it is asked for, with which key.

What is covered: only http and https; no credentials, query or fragment inside the URL; a key is
never sent unencrypted, except to this machine itself. A refused URL is not repeated.

What is not covered: whether the server is the one you mean (TLS answers that when connecting).
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field

from agentkit.spec.secret import Secret  # noqa: TC001 - pydantic evaluates the annotation
from agentkit.spec.section import Fault, HubId, Line, Section, faults, refuse_reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Endpoint", "Url"]

_URL_FIX = "write it as https://models.example.no/v1"


def _check_url(value: str) -> str:
    """Return ``value`` if it is a URL to use; no fault quotes it, it may hold a password."""
    refuse_reference(value)
    try:
        parts = urlsplit(value)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:  # a bad port or IPv6 address
        raise faults(Fault("must be a URL, found something broken", _URL_FIX)) from None
    if "@" in parts.netloc:
        raise faults(Fault("the URL holds credentials", "remove them; use api_key: ${NAME}"))
    if parts.query or parts.fragment:
        raise faults(
            Fault(
                "the URL has a query or fragment (after ? or #)",
                "end it with the API's root, such as /v1; a key goes to api_key: ${NAME}",
            )
        )
    if parts.scheme not in ("http", "https") or not _is_host(parts) or not port_is_valid:
        raise faults(Fault("must be an http or https URL, found something else", _URL_FIX))
    return value


def _is_host(parts: SplitResult) -> bool:
    host = parts.hostname
    return bool(host) and not any(char.isspace() or char == "\\" for char in parts.geturl())


def is_loopback(url: str) -> bool:
    """Whether ``url`` leads to this machine itself: localhost, 127.0.0.0/8 or ::1."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:  # a broken IPv6 address
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


Url = Annotated[
    str,
    AfterValidator(_check_url),
    Field(json_schema_extra={"pattern": "^https?://[^\\s@?#]+$"}),
]
"""An http or https URL without credentials, query or fragment."""


class Endpoint(Section):
    """A model served over the OpenAI protocol."""

    url: Url = Field(
        description="Root of the server's API.", examples=["https://models.example.no/v1"]
    )
    id: Line = Field(description="The model's name on that server.", examples=["qwen3-30b-a3b"])
    revision: Line | None = Field(
        default=None, description="The server's version of the model, where it names one."
    )
    base_model: HubId | None = Field(
        default=None,
        description="The open model behind the server's own name for it; decides the licence.",
    )
    api_key: Secret | None = Field(
        default=None, description="The key, as a reference to an environment variable: ${NAME}."
    )
    access: Literal["self_hosted", "managed_api"] | None = Field(
        default=None,
        description="Who runs the server: you (self_hosted) or a supplier (managed_api). Some"
        " licences judge the two differently.",
    )
    timeout_s: Annotated[float, Field(gt=0.0, le=3600.0)] = Field(
        default=60.0, description="Seconds to wait for the server's next answer."
    )

    @classmethod
    def cross_check(cls, given: Mapping[str, object]) -> Iterator[Fault]:
        """Refuse a key that would travel unencrypted."""
        url = given.get("url")
        if given.get("api_key") is None or not isinstance(url, str):
            return
        if url.lower().startswith("http:") and not is_loopback(url):
            yield Fault(
                "the key would travel unencrypted over http",
                "use https, or a server on this machine (http://127.0.0.1/…)",
                ("url",),
            )
