"""The rules over free text: where it points, and who will read it.

What is covered, once untrusted content has been read: a URL, an e-mail address, an account or a
telephone number inside a text is a destination and needs a trusted origin like any other; and a
text goes only to readers who may see all that it can carry. What stands word by word in one
passage, in one run, carries that passage; any other text was put together by the model, and can
carry everything that the model read. A reader whom the user named, or the request fixed, may be
told what the request itself implies to read, where nobody but the user chose what that is: what
was read beside it needs the reader's own right to see it.

A parameter of an effect that is declared neither sensitive nor content is held to the same rules.

What is not covered: what a link's target says; a text without any destination can still mislead;
which passage, and which run of its words, the model chose to quote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkit.labels import SourceKind
from agentkit.messages import ToolResultPart
from agentkit.planner.decision import Decision, Evidence, Outcome
from agentkit.planner.provenance import schema_names
from agentkit.planner.provenance.readings import destinations, principal
from agentkit.planner.provenance.results import USER
from agentkit.planner.rules.bounds import is_committed
from agentkit.planner.rules.values import evidence, left_open, vouched
from agentkit.tools.declaration import Effect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agentkit.labels import Label, Source
    from agentkit.messages import ToolCallPart
    from agentkit.planner.provenance import Origin, Passage
    from agentkit.planner.rules.proposal import Proposal

__all__ = ["check_content"]

_SHOWN_CHARACTERS = 120
_READ = frozenset({SourceKind.TOOL, SourceKind.DOCUMENT})


def check_content(proposal: Proposal) -> Decision:
    """Ask where a text would carry a foreign destination, or anything to the wrong readers."""
    texts = [origin for origin in proposal.origins if _is_text(proposal, origin)]
    if not proposal.has_effect or not texts:
        return Decision(Outcome.ALLOW, "content", "the call carries no text")
    if not proposal.is_influenced:
        return Decision(Outcome.ALLOW, "content", "nothing untrusted has been read")
    pointers = tuple(item for origin in texts for item in _foreign(proposal, origin))
    if pointers:
        first = pointers[0]
        return Decision(
            Outcome.ASK,
            "content_destination",
            f"{first.path} names {first.value}, which does not come from the user or the operator",
            "a person approves, or the user names it in their own words",
            pointers,
        )
    leaks = tuple(_leaks(proposal, texts))
    if leaks:
        first = leaks[0]
        return Decision(
            Outcome.ASK,
            "content_readers",
            f"{first.path} can carry {first.origin}, which not all of its readers may see",
            "a person approves, or the request names what is to be passed on",
            leaks,
        )
    return Decision(Outcome.ALLOW, "content", "its readers may see all that it can carry")


def _is_text(proposal: Proposal, origin: Origin) -> bool:
    if proposal.decides(origin.parameter):
        return False
    argument = proposal.call.arguments.get(origin.parameter)
    # The name of an undeclared argument is a text also where its value is a number.
    is_number = isinstance(argument, bool | int | float) and origin.value == str(argument)
    return origin.parameter in proposal.tool.content or not is_number


def _foreign(proposal: Proposal, origin: Origin) -> Iterator[Evidence]:
    """Yield each destination inside a text that no trusted party named."""
    for kind, spellings, written in destinations(origin.value):
        source = proposal.tracer.typed_origin(
            origin.path, origin.parameter, written, kind, spellings
        )
        if source.label.is_trusted or vouched(proposal, source) is not None:
            continue
        yield evidence(source)


def _leaks(proposal: Proposal, texts: Sequence[Origin]) -> Iterator[Evidence]:
    """Yield what the texts of a call can carry that their readers may not see."""
    readers = _readers(proposal)
    named = _named_by_user(proposal)

    def is_open(passage: Passage) -> bool:
        return _may_read(readers, passage.label) or (named and _is_implied(proposal, passage))

    lines = [
        (text, line)
        for text in texts
        for line in text.value.splitlines()
        if line.strip() and not proposal.tracer.users_words(line)
    ]
    # Which lines of a page are put together can spell anything: only one run of words is a
    # quotation of it.
    if not lines or any(
        map(is_open, proposal.tracer.holding("\n".join(line for _, line in lines)))
    ):
        return
    for text, line in lines:
        holding = proposal.tracer.holding(line)
        if holding and not any(map(is_open, holding)):
            yield _leak(text, holding[0].label, holding[0])
            return
    leak = _anything_read(proposal, lines[0][0], readers, named=named)
    if leak is not None:
        yield leak


def _anything_read(
    proposal: Proposal, text: Origin, readers: frozenset[str] | None, *, named: bool
) -> Evidence | None:
    """Return the first result that the model's own words can carry and the readers may not see."""
    known: set[Source] = set()
    for prepared in proposal.tracer.parts:
        part = prepared.part
        if not isinstance(part, ToolResultPart):
            continue
        known.update(part.label.sources)
        if _may_read(readers, part.label):
            continue
        groups = (prepared.untrusted.passages, prepared.trusted.passages)
        passage = next((group[0] for group in groups if group), None)
        if passage is None or (named and _is_implied(proposal, passage)):
            continue
        return _leak(text, part.label, passage)
    label = proposal.tracer.influenced
    elsewhere = {source for source in label.sources if source.kind in _READ}
    if elsewhere - known and not _may_read(readers, label):
        return _leak(text, label, None)
    return None


def _readers(proposal: Proposal) -> frozenset[str] | None:
    """Return who will read what the call carries; None where that may be anybody."""
    tool = proposal.tool
    if not tool.audience:
        return frozenset({USER}) if tool.effect is Effect.WRITE else None
    return frozenset(
        principal(origin.value) for origin in proposal.origins if origin.parameter in tool.audience
    )


def _may_read(readers: frozenset[str] | None, label: Label) -> bool:
    if label.readers is None:
        return True
    return readers is not None and readers <= label.readers


def _named_by_user(proposal: Proposal) -> bool:
    """Whether the user named everybody who will read it, or every place where it lands."""
    tool = proposal.tool
    deciding = [
        origin
        for origin in proposal.origins
        if (
            origin.parameter in tool.audience
            if tool.audience
            else proposal.decides(origin.parameter)
        )
    ]
    return bool(deciding) and all(_is_named(proposal, origin) for origin in deciding)


def _is_named(proposal: Proposal, origin: Origin) -> bool:
    if origin.is_users:
        return True
    found = vouched(proposal, origin)
    return found is not None and found.by_user


def _is_implied(proposal: Proposal, passage: Passage) -> bool:
    """Whether the user's request implies the read that a passage came from."""
    call = proposal.tracer.calls.get(passage.call_id)
    if call is None:
        return False
    return is_committed(proposal, call) and _was_asked_for(proposal, call)


def _was_asked_for(proposal: Proposal, read: ToolCallPart) -> bool:
    """Whether the user's words led to this read: nothing untrusted had been read before it, or
    what it reads was not left to the model to choose.
    """
    if read.label.is_trusted:
        return True
    tool = proposal.tools[read.name]
    origins = proposal.tracer.trace(read, named=schema_names(tool.parameters))
    return not left_open(proposal, tool, origins)


def _leak(text: Origin, label: Label, passage: Passage | None) -> Evidence:
    sources = ", ".join(str(source) for source in label.sources) or "unknown"
    return Evidence(
        text.path,
        text.value[:_SHOWN_CHARACTERS],
        f"what was read from {sources}",
        call_id=passage.call_id if passage else "",
        span=(passage.start, passage.end) if passage else None,
        label=label,
    )
