"""From an OpenAI-compatible stream to deltas, whatever the backend makes of the protocol.

Handled, because backends do it: calls left in the content as JSON, tags or a pythonic list;
arguments as a string in pieces or as an object; missing ids, missing or constant indexes; a finish
reason that contradicts the calls; a whole completion where a stream was asked for; logprobs or
usage that never come. Everything else that breaks the protocol is a ``BackendError``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from agentkit.errors import BackendError
from agentkit.model.protocol import (
    FinishDelta,
    InvalidCallDelta,
    TextDelta,
    TokenUsage,
    ToolCallDelta,
)
from agentkit.model.remote_errors import said
from agentkit.model.remote_events import broken_protocol, parse_object
from agentkit.model.toolcalls import (
    CallProblem,
    CallSyntax,
    as_arguments,
    check_value,
    is_tool_name,
    parse_calls,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from agentkit.messages import JsonObject, JsonValue
    from agentkit.model.protocol import Delta

__all__ = ["ReplyAssembler"]

_CALL_ID: Final = re.compile(r"[!-~]{1,128}")
_MAX_CALLS: Final = 64
_DONE: Final = "[DONE]"
_CALL_STARTS: Final = "[{<"
_LEAST_LOGPROB: Final = -1000.0


@dataclass(slots=True)
class _PartialCall:
    """A call as far as it has arrived."""

    call_id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    whole: JsonObject | None = None

    def finished(self, *, cut: bool) -> ToolCallDelta | InvalidCallDelta:
        """Return the call; ``cut``: the reply hit its token limit, so nothing may be guessed."""
        written = "".join(self.pieces)
        try:
            arguments = self._arguments(written, cut=cut)
        except CallProblem as problem:
            return InvalidCallDelta(f"{self.name} {written}".strip(), str(problem))
        return ToolCallDelta(self.name, arguments, self.call_id)

    def _arguments(self, written: str, *, cut: bool) -> JsonObject:
        if cut and self.whole is None and not written.strip():
            raise CallProblem("The call was cut off by the token limit; write it again.")
        if not is_tool_name(self.name):
            raise CallProblem("The call names no tool; call one of the declared tools.")
        arguments = self.whole if self.whole is not None else as_arguments(written, self.name)
        check_value(arguments)
        return arguments


class ReplyAssembler:
    """Turns one reply's chunks into deltas. ``declared``: names of tools the model may call;
    with none, all content is text. ``scored``: strings whose first-token probability is asked.
    ``secrets``: what must be cut out of a backend's error message.
    """

    def __init__(
        self,
        declared: Collection[str],
        scored: Sequence[str] = (),
        secrets: Sequence[str] = (),
    ) -> None:
        self._secrets = secrets
        self._declared = declared
        self._scored = scored
        self._held: list[str] | None = [] if declared else None
        self._is_undecided = True
        self._calls: list[_PartialCall] = []
        self._by_index: dict[int, _PartialCall] = {}
        self._reason = ""
        self._done = False
        self._usage = TokenUsage()
        self._scores: dict[str, float] = {}

    @property
    def is_done(self) -> bool:
        """Whether the backend said that nothing follows."""
        return self._done

    def feed(self, data: str) -> Iterator[Delta]:
        """Take one event's data and yield the text that is certain to be text."""
        if data.strip() == _DONE:
            self._done = True
            return
        chunk = parse_object(data)
        if chunk.get("error"):
            raise BackendError(
                f"the backend failed while answering: {said(chunk, self._secrets)}",
                cure="try again; if it stays, look at the backend's log",
            )
        if isinstance(chunk.get("usage"), dict):
            self._usage = _usage(chunk["usage"])
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            if choices is None and "usage" in chunk:
                return
            raise broken_protocol("a chunk without choices")
        for choice in choices[:1]:
            if not isinstance(choice, dict):
                raise broken_protocol("a choice that is no object")
            yield from self._choice(choice)

    def _choice(self, choice: JsonObject) -> Iterator[Delta]:
        if choice.get("logprobs") and not self._scores:
            self._scores = _first_token_scores(choice["logprobs"], self._scored)
        delta = choice.get("delta", choice.get("message")) or {}
        if not isinstance(delta, dict):
            raise broken_protocol("a delta that is no object")
        text = _text(delta.get("content")) + _text(delta.get("refusal"))
        if text:
            yield from self._take_text(text)
        calls = delta.get("tool_calls") or []
        if not isinstance(calls, list):
            raise broken_protocol("tool_calls that are no list")
        for number, call in enumerate(calls):
            if not isinstance(call, dict):
                raise broken_protocol("a tool call that is no object")
            # A whole message lists whole calls, without indexes; a delta's pieces may lack theirs.
            self._take_call({"index": number, **call} if "message" in choice else call)
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            self._reason = reason

    def _take_text(self, text: str) -> Iterator[Delta]:
        """Hold back text as long as it may turn out to be a call; it is one only as a whole."""
        if self._held is None:
            yield TextDelta(text)
            return
        self._held.append(text)
        first = text.lstrip()[:1]
        if self._is_undecided and first:
            self._is_undecided = False
            if first not in _CALL_STARTS:
                yield TextDelta("".join(self._held))
                self._held = None

    def _take_call(self, item: JsonObject) -> None:
        function = item.get("function")
        if not isinstance(function, dict):
            function = {}
        name = function.get("name")
        name = name if isinstance(name, str) else ""
        call_id = item.get("id")
        call_id = call_id if isinstance(call_id, str) and _CALL_ID.fullmatch(call_id) else ""
        call = self._call_for(item.get("index"), call_id, name)
        call.call_id = call.call_id or call_id
        if name != call.name:  # some backends repeat the name in every piece
            call.name += name
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            call.pieces.append(arguments)
        elif isinstance(arguments, dict):
            call.whole = arguments

    def _call_for(self, index: JsonValue, call_id: str, name: str) -> _PartialCall:
        """Return the call that a piece belongs to. The index decides; a new id with a name under
        an index that is taken is a new call, and so is any name without an index.
        """
        known = self._by_index.get(index) if isinstance(index, int) else None
        if known is None and not isinstance(index, int) and self._calls:
            last = self._calls[-1]
            known = last if not name or (call_id and call_id == last.call_id) else None
        if known is not None and not (name and call_id and known.call_id not in {"", call_id}):
            return known
        if len(self._calls) >= _MAX_CALLS:
            raise broken_protocol(f"more than {_MAX_CALLS} tool calls in one reply")
        call = _PartialCall()
        self._calls.append(call)
        if isinstance(index, int):
            self._by_index[index] = call
        return call

    def finish(self, prefill_s: float, decode_s: float) -> Iterator[Delta]:
        """Yield what was held back, the calls, and the end.

        Raises ``BackendError`` where the stream broke off or a filter cut it.
        """
        if not self._reason and not self._done:
            raise BackendError(
                "the backend's stream broke off before its end",
                cure="try again; if it stays, look at the backend's log",
            )
        if self._reason == "content_filter":
            raise BackendError(
                "the backend's own content filter cut the reply",
                cure="rephrase the request, or use a backend without that filter",
            )
        cut = self._reason == "length"
        calls: list[ToolCallDelta | InvalidCallDelta] = []
        calls += [call.finished(cut=cut) for call in self._calls]
        held = "".join(self._held or ())
        if held and not calls:
            reply = parse_calls(held, syntaxes=tuple(CallSyntax), declared=self._declared)
            calls, held = list(reply.calls), reply.text
        if held:
            yield TextDelta(held)
        yield from _with_own_ids(calls)
        usage = TokenUsage(
            self._usage.prompt_tokens,
            self._usage.cached_tokens,
            self._usage.completion_tokens,
            prefill_s,
            decode_s,
        )
        reason: Literal["length", "calls", "stop"] = "calls" if calls else "stop"
        yield FinishDelta("length" if cut else reason, usage, self._scores)


def _with_own_ids(
    calls: Sequence[ToolCallDelta | InvalidCallDelta],
) -> Iterator[ToolCallDelta | InvalidCallDelta]:
    """Yield the calls; an id that stands twice is left out, so that nobody mixes up results."""
    seen: set[str] = set()
    for call in calls:
        if isinstance(call, ToolCallDelta) and call.call_id in seen:
            yield ToolCallDelta(call.name, call.arguments)
            continue
        if isinstance(call, ToolCallDelta) and call.call_id:
            seen.add(call.call_id)
        yield call


def _text(content: JsonValue) -> str:
    if isinstance(content, list):  # content as parts
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    if content is None:
        return ""
    if not isinstance(content, str):
        raise broken_protocol("content that is no text")
    return content


def _usage(usage: JsonValue) -> TokenUsage:
    def count(table: JsonValue, key: str) -> int:
        found = table.get(key) if isinstance(table, dict) else 0
        return found if isinstance(found, int) and found > 0 else 0

    details = usage.get("prompt_tokens_details") if isinstance(usage, dict) else None
    return TokenUsage(
        prompt_tokens=count(usage, "prompt_tokens"),
        cached_tokens=count(details, "cached_tokens"),
        completion_tokens=count(usage, "completion_tokens"),
    )


def _first_token_scores(logprobs: JsonValue, scored: Sequence[str]) -> dict[str, float]:
    """Return each string's probability at the first position; empty where there are no logprobs.

    A token counts for the one string that it starts (``un`` for ``unsafe``). What is not among the
    backend's top candidates has probability 0 here.
    """
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    first = content[0] if isinstance(content, list) and content else None
    top = first.get("top_logprobs") if isinstance(first, dict) else None
    if not isinstance(top, list) or not scored:
        return {}
    scores = dict.fromkeys(scored, 0.0)
    for entry in top:
        token = entry.get("token") if isinstance(entry, dict) else None
        logprob = entry.get("logprob") if isinstance(entry, dict) else None
        if not isinstance(token, str) or not isinstance(logprob, int | float):
            continue
        # First within a float's range, which a whole number in JSON need not be.
        logprob = max(min(logprob, 0.0), _LEAST_LOGPROB)
        if math.isnan(logprob):
            continue
        starts = [text for text in scored if token.strip() and text.startswith(token.strip())]
        if len(starts) == 1:
            scores[starts[0]] += math.exp(logprob)
    return scores
