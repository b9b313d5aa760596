"""What a backend's status means and what to do about it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from agentkit.errors import BackendError, BackendRefused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentkit.messages import JsonValue

__all__ = ["retry_delay_s", "said", "status_error"]

MAX_RETRY_DELAY_S: Final = 20.0
_RETRIED: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_SAID_LENGTH: Final = 300
_ALTERNATIVES: Final = (
    "pick another model under a permissive licence (qwen3-30b-a3b, gpt-oss-20b, olmoe, mixtral) "
    "that the backend still serves, or run the weights in-process"
)
_MEANINGS: Final[dict[int, tuple[str, str]]] = {
    400: ("does not accept the request", "check the model's context length and tool support"),
    401: ("does not accept the API key", "check the key and the environment variable it is in"),
    402: ("wants to be paid first", "check the account's balance"),
    403: ("does not allow this key to use the model", "ask for access, or pick another model"),
    404: ("has no such model or path", f"check the URL and the model's name, or {_ALTERNATIVES}"),
    405: ("has no chat completions at this path", "check that the URL ends in /v1"),
    408: ("gave up waiting", "try again, or shorten the conversation"),
    410: ("has retired the model", _ALTERNATIVES),
    413: ("finds the request too large", "shorten the conversation or leave images out"),
    422: ("does not accept the request", "check the model's context length and tool support"),
    429: ("is asked too often", "wait, lower the rate limit of the agent, or raise the quota"),
    503: ("is overloaded or loading the model", "try again later, or use another backend"),
}


def status_error(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    model_id: str,
    url: str,
    secrets: Sequence[str],
) -> BackendError:
    """Return the error for a response that is no 200. ``secrets`` are cut out of what it says.

    A status of the client's (4xx), a redirect and 503 say that the model was not run; of any other
    it is not known.
    """
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        meaning = "answers with a redirect, which is not followed"
        cure = "configure the URL that it redirects to, if you trust that host"
    elif status in _MEANINGS:
        meaning, cure = _MEANINGS[status]
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        meaning, cure = "failed", "try again; if it stays, look at the backend's log"
    else:
        meaning, cure = "refused the request", "look at the backend's documentation"
    message = said(_json_or_text(body), secrets)
    detail = f": {message}" if message else ""
    retry_after = headers.get("retry-after")
    wait = f" (it asks to wait {_seconds(retry_after):.0f} s)" if _seconds(retry_after) else ""
    untaken = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    kind = BackendRefused if untaken or status in _RETRIED else BackendError
    return kind(
        f"the backend {meaning} (HTTP {status}, model {model_id}){wait}{detail}",
        place=url,
        cure=cure,
    )


def retry_delay_s(status: int, headers: Mapping[str, str], attempt: int) -> float | None:
    """Return how long to wait before the next attempt, or None where there should be none.

    ``attempt`` counts from 1. A longer wait than ``MAX_RETRY_DELAY_S`` is not sat out.
    """
    if status not in _RETRIED:
        return None
    asked = _seconds(headers.get("retry-after"))
    delay = asked if asked is not None else 2.0 ** (attempt - 1)
    return delay if delay <= MAX_RETRY_DELAY_S else None


def _seconds(retry_after: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for (RFC 9110, 10.2.3)."""
    if retry_after is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", retry_after.strip()):
        return float(retry_after)
    try:
        moment = parsedate_to_datetime(retry_after)
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return max(0.0, (aware - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return None


def _json_or_text(body: bytes) -> JsonValue:
    text = body.decode("utf-8", "replace")
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value


def said(answer: JsonValue, secrets: Sequence[str]) -> str:
    """Return the message in a backend's error answer, on one printable line without ``secrets``."""
    value = answer
    for key in ("error", "message", "detail"):
        if isinstance(value, dict) and key in value:
            value = value[key]
    if not isinstance(value, str):
        return ""
    for secret in secrets:
        value = value.replace(secret, "[secret]")
    line = " ".join("".join(c if c.isprintable() else " " for c in value).split())
    return line if len(line) <= _SAID_LENGTH else line[:_SAID_LENGTH] + "…"
