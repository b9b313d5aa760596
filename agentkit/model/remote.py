"""A model behind an OpenAI-compatible ``/chat/completions``, over httpx, streamed.

What is covered:
- The API key is in no ``repr``, error or log of ours, and is cut out of what a backend says.
- Redirects are not followed: a key never goes to a host that nobody configured.
- Answers are bounded in size; a status, body or stream that breaks the protocol is a
  ``BackendError`` with a cure. 429 and 503 are tried again, a bounded number of times.

What is not covered:
- The transport's secrecy: over ``http://`` anybody on the way reads prompts and key.
- What the backend does with the data, and whether it runs the model it names.
- Constrained decoding is the backend's own; calls are parsed here and checked by the gate.
- A backend that drips: ``timeout_s`` bounds the wait for each next byte, the planner's time budget
  the whole turn.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import anyio
import httpx

from agentkit.errors import BackendError, BackendRefused, ModelError
from agentkit.model.protocol import Constraint, GenerationSettings, ModelInfo
from agentkit.model.remote_errors import retry_delay_s, status_error
from agentkit.model.remote_events import broken_protocol, server_sent_data
from agentkit.model.remote_request import request_body
from agentkit.model.remote_stream import ReplyAssembler

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from agentkit.messages import FunctionDeclaration, Message
    from agentkit.model.protocol import Delta

__all__ = ["RemoteModel"]

_CONNECT_TIMEOUT_S: Final = 10.0
_MAX_RESPONSE_BYTES: Final = 16 * 1024 * 1024
_MAX_ERROR_BYTES: Final = 64 * 1024
_MAX_TRIES: Final = 3
_OK: Final = 200


class RemoteModel:
    """A chat model behind an OpenAI-compatible endpoint.

    ``url``: the endpoint's base (``https://host/v1``) or the full path. ``revision``: what the
    operator knows of the served weights, for the audit log. ``timeout_s``: seconds to wait for each
    next byte. ``transport``: a stand-in for the network, for tests. ``max_images``: images that one
    request may hold. Raises ``ModelError`` for a URL or key that cannot be used.
    """

    def __init__(
        self,
        url: str,
        model_id: str,
        *,
        revision: str,
        api_key: str | None = None,
        context_tokens: int = 8192,
        timeout_s: float = 120.0,
        max_images: int = 5,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._endpoint, auth = _endpoint(url)
        if auth is not None and api_key is not None:
            raise ModelError(
                "the remote model's URL holds credentials and there is an API key as well",
                cure="give one of the two",
            )
        headers = {"accept": "text/event-stream", "accept-encoding": "identity"}
        if api_key is not None:
            headers["authorization"] = f"Bearer {_checked_key(api_key)}"
        self._secrets = [secret for secret in (api_key, *(auth or ())) if secret]
        self._shown_url = str(self._endpoint.copy_with(query=None))
        self._max_images = max_images
        self._client = httpx.AsyncClient(
            headers=headers,
            auth=auth,
            timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_TIMEOUT_S)),
            follow_redirects=False,
            transport=transport,
        )
        self._info = ModelInfo(
            model_id=model_id,
            revision=revision,
            architecture="remote",
            backend=f"remote, {self._endpoint.host}",
            context_tokens=context_tokens,
        )

    def __repr__(self) -> str:
        return f"RemoteModel({self._shown_url!r}, {self._info.model_id!r})"

    @property
    def info(self) -> ModelInfo:
        """What is known of the model: its architecture is ``remote``."""
        return self._info

    async def generate(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[FunctionDeclaration] = (),
        constraint: Constraint = Constraint(),
        settings: GenerationSettings = GenerationSettings(),
    ) -> AsyncGenerator[Delta, None]:
        """Continue the conversation; see ``ChatModel``. Raises ``ModelError``, ``BackendError``."""
        body = request_body(
            self._info.model_id, messages, tools, constraint, settings, max_images=self._max_images
        )
        names = [tool.name for tool in tools] if constraint.tool_choice != "none" else []
        try:
            for attempt in range(1, _MAX_TRIES + 1):
                request = self._client.build_request(
                    "POST",
                    self._endpoint,
                    content=body,
                    headers={"content-type": "application/json"},
                )
                started = time.perf_counter()
                response = await self._client.send(request, stream=True)
                try:
                    if response.status_code == _OK:
                        assembler = ReplyAssembler(names, settings.score_first_token, self._secrets)
                        async for delta in _deltas(response, assembler, started):
                            yield delta
                        return
                    failure = await self._failure(response)
                finally:
                    await response.aclose()
                delay_s = retry_delay_s(response.status_code, response.headers, attempt)
                if delay_s is None or attempt == _MAX_TRIES:
                    raise failure
                await anyio.sleep(delay_s)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise BackendRefused(
                "no connection to the backend",
                place=self._shown_url,
                cure="check that the URL is right and the backend is running",
            ) from None
        except httpx.TimeoutException:
            raise BackendError(
                "the backend did not answer in time",
                place=self._shown_url,
                cure="raise timeout_s, or ask a less busy backend",
            ) from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise BackendError(
                f"the connection to the backend failed ({type(error).__name__})",
                place=self._shown_url,
                cure="try again; if it stays, look at the backend's log",
            ) from None

    async def _failure(self, response: httpx.Response) -> BackendError:
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) >= _MAX_ERROR_BYTES:
                break
        return status_error(
            response.status_code,
            response.headers,
            bytes(body[:_MAX_ERROR_BYTES]),
            model_id=self._info.model_id,
            url=self._shown_url,
            secrets=self._secrets,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()


async def _deltas(
    response: httpx.Response, assembler: ReplyAssembler, started: float
) -> AsyncGenerator[Delta, None]:
    """Read a successful response to its end: a stream, or a whole completion in one piece."""
    first: float | None = None
    streamed = "json" not in response.headers.get("content-type", "")
    events = server_sent_data(_bounded(response)) if streamed else _whole(_bounded(response))
    async for data in events:
        first = first if first is not None else time.perf_counter()
        for delta in assembler.feed(data):
            yield delta
        if assembler.is_done:
            break
    now = time.perf_counter()
    first = first if first is not None else now
    for delta in assembler.finish(prefill_s=first - started, decode_s=now - first):
        yield delta


async def _bounded(response: httpx.Response) -> AsyncIterator[bytes]:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise broken_protocol("a compressed answer, which was not asked for")
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > _MAX_RESPONSE_BYTES:
            raise broken_protocol(f"an answer of more than {_MAX_RESPONSE_BYTES} bytes")
        yield chunk


async def _whole(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
    try:
        yield body.decode()
    except UnicodeDecodeError:
        raise broken_protocol("malformed UTF-8") from None


def _endpoint(url: str) -> tuple[httpx.URL, tuple[str, str] | None]:
    """Return the address to post to, without credentials, and the credentials."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError, TypeError):
        parsed = httpx.URL("")
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ModelError(
            "the remote model's URL is not of the form https://host/v1",
            cure="give the base URL of an OpenAI-compatible endpoint",
        )
    auth = (parsed.username, parsed.password) if parsed.userinfo else None
    path = parsed.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path += "/chat/completions"
    return parsed.copy_with(path=path, username=None, password=None, fragment=None), auth


def _checked_key(key: str) -> str:
    """Refuse a key that no header can carry, before a library quotes it in its error."""
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ModelError(
            "the API key is empty or holds white space or characters that no header can carry",
            cure="check the environment variable that it comes from, for instance for a line end",
        )
    return key
