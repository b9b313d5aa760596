"""YAML text as a tree that knows where each key and value stands.

The events of ruamel.yaml's parser are composed here, so that limits hold while reading and
scalars follow YAML 1.2's core schema (spec section 10.3.2) to the letter: ``NO`` is text, and so
is ``2026-05-01``.

What is covered: duplicate keys, tags, several documents, merge keys, nesting deeper than 32,
more than 10,000 values with all aliases written out (the "billion laughs"), aliases to
themselves, keys that are not text, escapes that stand for half a character.

What is not covered: comments are dropped; a file is read, never written back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from agentkit.spec.nodes import Entry, ListNode, MappingNode, Mark, Node, ScalarNode
from agentkit.spec.problems import Problem, SpecProblems, quoted
from agentkit.spec.scalars import resolve
from agentkit.spec.syntax import explain_syntax

if TYPE_CHECKING:
    from collections.abc import Iterator


__all__ = ["parse"]

_SURROGATE = re.compile("[\ud800-\udfff]")

MAX_DEPTH = 32
MAX_VALUES = 10_000

# What ruamel.yaml's scanner breaks with on some malformed input, such as escapes past U+10FFFF and
# odd directives; for the user it is a file that is not YAML.
_SCANNER_FAULTS = (YAMLError, ValueError, ArithmeticError, LookupError, AttributeError, TypeError)


def parse(text: str, path: str) -> tuple[Node, list[Problem]]:
    """Return the tree of the one document in ``text``, and the problems that leave it readable.

    Raises SpecProblems where there is no tree: wrong syntax, limits, no document or several.
    """
    composer = _Composer(path, text)
    try:
        return composer.document(), composer.problems
    except MarkedYAMLError as error:
        broken = explain_syntax(error, text, composer.last_event)
    except _SCANNER_FAULTS as error:
        at = _mark(composer.last_event)
        message = f"the YAML is broken after this place ({type(error).__name__})"
        fix = "check the lines that follow for quotes, brackets and escapes"
        broken = Problem(at.line, at.column, "", message, fix)
    raise SpecProblems(path, [*composer.problems, broken])


@dataclass(slots=True)
class _Composer:
    path: str
    text: str
    problems: list[Problem] = field(default_factory=list)
    anchors: dict[str, Node] = field(default_factory=dict)
    values: int = 0
    last_event: Any = None
    events: Iterator[Any] = field(init=False)

    def __post_init__(self) -> None:
        yaml = YAML(typ="safe", pure=True)
        self.events = yaml.parse(self.text)

    def fail(self, mark: Mark, text: str, message: str, fix: str) -> NoReturn:
        problem = Problem(mark.line, mark.column, text, message, fix)
        raise SpecProblems(self.path, [*self.problems, problem])

    def note(self, mark: Mark, text: str, message: str, fix: str) -> None:
        self.problems.append(Problem(mark.line, mark.column, text, message, fix))

    def next(self) -> Any:  # noqa: ANN401 - ruamel.yaml's event classes carry no types
        self.last_event = next(self.events)
        return self.last_event

    def document(self) -> Node:
        self.next()  # the start of the stream
        start = self.next()
        if isinstance(start, StreamEndEvent):
            self.fail(Mark(), "", "the file is empty", "start from `agentkit init`")
        self.check_directives(start)
        node = self.node(self.next(), depth=1)
        self.next()  # the end of the document
        if isinstance(following := self.next(), DocumentStartEvent):
            self.fail(
                _mark(following),
                "---",
                'a second document starts here ("---")',
                "keep one agent in one file; move this one to its own file",
            )
        return node

    def check_directives(self, start: DocumentStartEvent) -> None:
        version = start.version
        if version is not None and tuple(version) != (1, 2):
            before = self.text[: self.text.index("%YAML")]
            self.note(
                Mark(len(before.splitlines()) + 1),
                "%YAML",
                f"the file says YAML {'.'.join(map(str, version))}, agentkit reads YAML 1.2",
                "remove the %YAML line",
            )

    def node(self, event: NodeEvent, depth: int) -> Node:
        mark = _mark(event)
        if depth > MAX_DEPTH:
            self.fail(
                mark, "", f"values are nested deeper than {MAX_DEPTH}", "flatten the structure"
            )
        if isinstance(event, AliasEvent):
            node = self.alias(event, mark)
        else:
            self.count(1, mark)
            self.check_tag(event, mark)
            node = self.fresh(event, mark, depth)
        if not isinstance(event, AliasEvent) and event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def fresh(self, event: NodeEvent, mark: Mark, depth: int) -> Node:
        if isinstance(event, ScalarEvent):
            return self.scalar(event, mark)
        if isinstance(event, SequenceStartEvent):
            items = []
            while not isinstance(following := self.next(), SequenceEndEvent):
                items.append(self.node(following, depth + 1))
            return ListNode(mark, tuple(items), 1 + sum(item.size for item in items))
        return self.mapping(mark, depth)

    def scalar(self, event: ScalarEvent, mark: Mark) -> ScalarNode:
        """Return one value; no byte of a file can stand for half a character, an escape can."""
        text: str = event.value
        if _SURROGATE.search(text):
            self.note(
                mark,
                "",
                "an escape in this text (\\ud800 to \\udfff) stands for half a character",
                "write the character itself, or \\U and the eight digits of its code",
            )
            text = _SURROGATE.sub("\ufffd", text)
        is_plain = event.style in (None, "")
        return ScalarNode(mark, text, resolve(text) if is_plain else text)

    def mapping(self, mark: Mark, depth: int) -> MappingNode:
        entries: dict[str, Entry] = {}
        size = 1
        while not isinstance(following := self.next(), MappingEndEvent):
            if isinstance(following, MappingStartEvent | SequenceStartEvent):
                self.fail(
                    _mark(following),
                    "",
                    "a key must be text, found a list or mapping",
                    "check the brackets: text with { or [ in front needs quotes",
                )
            key = self.node(following, depth + 1)
            value = self.node(self.next(), depth + 1)
            size += value.size
            if not isinstance(key, ScalarNode):  # an alias to a list or mapping
                self.fail(_mark(following), "", "a key must be text", "write the key out")
            name = self.key(key)
            if name is None:
                continue
            if name in entries:
                first = entries[name].mark
                self.note(
                    key.mark,
                    name,
                    f"the key {quoted(name)} is given twice, first at {first.line}:{first.column}",
                    "keep one of them",
                )
            else:
                entries[name] = Entry(key.mark, value)
        return MappingNode(mark, entries, size)

    def key(self, key: ScalarNode) -> str | None:
        """Return the key's name; None, and a problem noted, where it is none."""
        if key.text == "<<":
            self.note(
                key.mark,
                "<<",
                'merge keys ("<<") are not part of YAML 1.2',
                "write the merged keys out",
            )
            return None
        if not isinstance(key.value, str):
            self.note(
                key.mark,
                key.text,
                f"a key must be text, found {key.text or 'nothing'}",
                f'put it in quotes: "{key.text}"' if key.text else "write a key before the colon",
            )
            return None
        return key.value

    def alias(self, event: AliasEvent, mark: Mark) -> Node:
        node = self.anchors.get(event.anchor)
        if node is None:
            self.fail(  # not quoted: a key that begins with * looks the same
                mark,
                "",
                "this alias (*) stands for nothing, or for what it is part of",
                "define it before, with & and the same name; or put text that begins with * in"
                " quotes",
            )
        self.count(node.size, mark)
        return node

    def count(self, values: int, mark: Mark) -> None:
        self.values += values
        if self.values > MAX_VALUES:
            self.fail(
                mark,
                "",
                f"the file has more than {MAX_VALUES:,} values, aliases written out",
                "keep only the specification in it",
            )

    def check_tag(self, event: NodeEvent, mark: Mark) -> None:
        tag = getattr(event, "tag", None)
        if tag is not None:
            name = str(tag).replace("tag:yaml.org,2002:", "!!")
            self.note(
                mark,
                name,
                f"the tag {quoted(name)} is not allowed: agent.yaml is plain data",
                'remove the tag; text that looks like a number goes in quotes: "8"',
            )


def _mark(event: Any) -> Mark:  # noqa: ANN401 - ruamel.yaml's event classes carry no types
    if event is None:
        return Mark()
    start = event.start_mark
    return Mark(start.line + 1, start.column + 1)
