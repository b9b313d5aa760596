"""What of an answer goes out to the user's screen, and as what.

The answer is the last way out: a face that renders it may fetch a picture or open a link, and so
send what stands in the URL to whoever owns the host.

What is covered:
- a URL stays a link only where the user, the operator or a trusted field said it, or its host
  (without query and fragment) was named by the user or listed by the operator; any other is shown
  inert, with its origin;
- a URL that carries values out of content which not everybody may read is taken out, also where
  its host was named; so are schemes that run or embed;
- a link that only a parser of Markdown sees makes all links of the answer inert;
- pictures and HTML that loads something are never left as such, whosever they are;
- content whose readers do not include the user is taken out;
- words taken over from untrusted content are attributed to their source.

What is not covered: words that say the same in other words; see also ``links`` and ``carried``.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from agentkit.labels import SourceKind
from agentkit.messages import TextPart
from agentkit.planner.output.carried import CarriedValues
from agentkit.planner.output.links import Link, Shape, find_links
from agentkit.planner.output.rendered import rendered_links, without_links
from agentkit.planner.output.spans import shared_spans
from agentkit.planner.output.values import is_number, spellings
from agentkit.planner.provenance import ConversationIndex, Tracer
from agentkit.planner.provenance.addresses import host_of
from agentkit.planner.provenance.passages import passages_of
from agentkit.planner.provenance.readings import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkit.labels import Label, Source
    from agentkit.messages import Message
    from agentkit.planner.provenance import Passage

__all__ = ["Citation", "Finding", "LinkRule", "OutputChannel", "Released"]

LinkRule = Literal["inert", "withhold", "ask"]
"""What becomes of a link of untrusted origin. ``ask``: a person may leave it as it is."""

_RUNS = frozenset({"javascript", "vbscript", "data", "blob", "file", "about", "view-source"})
_ESCAPED_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]{1,30}:)(?:\\/\\?/|/\\/)")
_CITED_WORDS = 6
_WITHHELD_WORDS = 3
_SHORTEST_VALUE = 3


@dataclass(frozen=True, slots=True)
class Citation:
    """``answer.text[start:end]`` was taken over word by word from ``source``."""

    start: int
    end: int
    source: Source


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was not let out as it was written.

    ``action``: ``inert``, ``withheld`` or ``ask``. ``text``: what stood there. ``origin``: where
    it came from.
    """

    action: Literal["inert", "withheld", "ask"]
    what: str
    text: str
    origin: str


@dataclass(frozen=True, slots=True)
class Released:
    """The answer as it goes out."""

    text: str
    citations: tuple[Citation, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class OutputChannel:
    """The rule for answers to one user. ``hosts``: whose links the operator lets through, without
    query. ``user``: the principal that labels' readers name.
    """

    links: LinkRule = "inert"
    hosts: frozenset[str] = frozenset()
    user: str = "user"

    def release(
        self, text: str, conversation: Sequence[Message], *, approved: bool = False
    ) -> Released:
        """Return what may go out of ``text``; ``conversation`` is all that the model had read.

        ``approved``: a person has let the links stand that would be asked.
        """
        return _Release(self, conversation, approved).run(text)


@dataclass
class _Release:
    channel: OutputChannel
    conversation: Sequence[Message]
    approved: bool
    findings: list[Finding] = field(default_factory=list)
    tracer: Tracer = field(init=False)
    passages: list[Passage] = field(init=False)
    hosts: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.tracer = Tracer(self.conversation, ConversationIndex())
        self.passages = [
            passage
            for message in self.conversation
            if message.role != "assistant"
            for part in message.parts
            for passage in passages_of(part)
        ]
        named = {host_of(url) for url in self.tracer.user_spellings(Kind.URL)}
        self.hosts = frozenset(named - {""}) | self.channel.hosts

    @cached_property
    def values(self) -> CarriedValues:
        """Made for the first link that is found nowhere: most answers have none."""
        spoken = "\n".join(
            part.text
            for message in self.conversation
            for part in message.parts
            if isinstance(part, TextPart) and part.label.is_trusted and message.role != "assistant"
        )
        confidential = [one for one in self.passages if one.label.readers is not None]
        return CarriedValues(confidential, spoken)

    def run(self, text: str) -> Released:
        text = self._withhold(unicodedata.normalize("NFC", text))
        text = self._close(self._replace_links(_ESCAPED_URL.sub(r"\1//", text)))
        untrusted = [passage for passage in self.passages if not passage.label.is_trusted]
        citations = tuple(
            Citation(shared.start, shared.end, _source(shared.passage.label))
            for shared in shared_spans(text, untrusted, words=_CITED_WORDS)
            if shared.passage.label.sources
        )
        return Released(text, citations, tuple(self.findings))

    def _withhold(self, text: str) -> str:
        """Take out what the user may not see: whole values, and runs of words."""
        closed = [
            passage
            for passage in self.passages
            if passage.label.readers is not None and self.channel.user not in passage.label.readers
        ]
        spans = [
            (shared.start, shared.end, shared.passage)
            for shared in shared_spans(text, closed, words=_WITHHELD_WORDS)
        ]
        for passage in closed:
            value = passage.text.strip()
            # Runs of three words and more are found above; a number in groups is one value.
            if len(value) >= _SHORTEST_VALUE and (
                len(value.split()) < _WITHHELD_WORDS or is_number(value)
            ):
                spans.extend(
                    (*found.span(), passage)
                    for found in re.finditer(spellings(value), text, re.IGNORECASE)
                )
        written, at = "", 0
        for start, end, passage in sorted(spans, key=lambda span: (span[0], -span[1])):
            if start < at:
                continue
            origin = _origin(passage.label)
            self.findings.append(Finding("withheld", "content", text[start:end], origin))
            written += f"{text[at:start]}[withheld: content of {origin} that is not for you]"
            at = end
        return written + text[at:]

    def _replace_links(self, text: str) -> str:
        written, at = "", 0
        for link in find_links(text):
            written += text[at : link.start] + self._shown(link, text[link.start : link.end])
            at = link.end
        # What is left of a picture refers to a definition, which is inert by now.
        return re.sub(r"!(?=\[)", "image: ", written + text[at:])

    def _close(self, text: str) -> str:
        """Leave no link to a renderer that the patterns did not find and judge."""
        left = [
            target
            for target, is_picture in rendered_links(text)
            if is_picture or not self._may_stand(target)
        ]
        for target in left:
            self._find("inert", "markdown", target, "the answer")
        return without_links(text) if left else text

    def _may_stand(self, target: str) -> bool:
        if re.fullmatch(r"mailto:[^?&]*", target, re.IGNORECASE):  # an address, and nothing more
            return True
        verdict, _ = self._judge(target)
        return verdict == "stands" or (verdict == "asked" and self.approved)

    def _shown(self, link: Link, written: str) -> str:
        if link.shape is Shape.TAG:
            self._find("inert", "HTML", written, "the answer")
            return _dull(written.replace("<", "&lt;").replace(">", "&gt;"))
        words = self._replace_links(link.words) if link.words else ""
        verdict, origin = self._judge(link.target)
        if verdict == "withheld":
            self._find("withheld", link.shape.value, link.target, origin)
            why = f"it carried content of {origin}" if origin else "it would run or embed something"
            return f"{words} [link withheld: {why}]".strip()
        if verdict == "asked" and not self.approved:
            self._find("ask", link.shape.value, link.target, origin)
        elif verdict == "stands" or self.approved:
            if link.shape is Shape.IMAGE:  # a picture is fetched without anybody's click
                return f"[image: {words}]({link.target})"
            return written if words == link.words else f"{words} ({link.target})"
        else:
            self._find("inert", link.shape.value, link.target, origin)
        if self.channel.links == "withhold":
            return f"{words} [link withheld: from {origin}]".strip()
        name = {Shape.IMAGE: f"image: {words}", Shape.REFERENCE: f"{words}:"}.get(link.shape, words)
        return f"{name} ({_defanged(link.target)}, from {origin})".strip()

    def _judge(self, target: str) -> tuple[Literal["stands", "inert", "asked", "withheld"], str]:
        """Return what becomes of a link, and the origin to name."""
        url = target.strip()
        scheme = re.match(r"([A-Za-z][A-Za-z0-9+.\-]*):", "".join(url.split()))
        if scheme is not None and scheme[1].casefold() in _RUNS:
            return "withheld", ""
        relative = scheme is None and not url.startswith(("//", "\\", "/\\"))
        if relative and re.match(r"#|[\w./\-]*$", url) and not re.match(r"(?:[\w-]+\.)+\w+", url):
            return "stands", ""
        origin = self.tracer.origin("$", "url", url)
        if origin.found and origin.label.is_trusted:
            return "stands", ""
        if not origin.found:
            source = self.values.in_url(url)
            if source is not None:
                return "withheld", _origin(source.label)
            if origin.label.is_trusted or self._is_named(url):
                return "stands", ""
        kind: Literal["asked", "inert"] = "asked" if self.channel.links == "ask" else "inert"
        return kind, _origin(origin.label)

    def _is_named(self, url: str) -> bool:
        try:
            parts = urlsplit(url if "//" in url else f"//{url}")
        except ValueError:
            return False
        plain = not (parts.query or parts.fragment or parts.username or parts.password)
        return plain and host_of(url if "//" in url else f"//{url}") in self.hosts

    def _find(
        self, action: Literal["inert", "withheld", "ask"], what: str, text: str, origin: str
    ) -> None:
        self.findings.append(Finding(action, what, text, origin))


def _source(label: Label) -> Source:
    """Return the source to name: what was read rather than who asked."""
    read = [one for one in label.sources if one.kind in {SourceKind.TOOL, SourceKind.DOCUMENT}]
    return (read or list(label.sources))[0]


def _origin(label: Label) -> str:
    # The name of a document may be a link itself.
    return _dull(str(_source(label)), dots=False) if label.sources else "an unknown source"


def _defanged(url: str) -> str:
    """Return a URL that no program takes for one."""
    inert = _dull(re.sub(r"(?i)\bhttp", "hxxp", url))
    inert = re.sub(r"^(mailto|tel|sms):", r"\1[:]", inert, flags=re.IGNORECASE)
    return re.sub(r"[\s()<>]", lambda found: f"%{ord(found[0]):02X}", inert)


def _dull(text: str, *, dots: bool = True) -> str:
    text = text.replace("://", "[:]//").replace("www.", "www[.]")
    return re.sub(r"(?<!\[)\.(?!\])", "[.]", text) if dots else text
