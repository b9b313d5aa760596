"""The YAML parser's complaints, in words that name the mistake and its fix.

A parser says where it gave up; here that is traced back to the bracket, quote or line that the
writer has to change. Values are never quoted: the broken line may hold a secret.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agentkit.spec.problems import Problem, quoted

if TYPE_CHECKING:
    from ruamel.yaml.error import MarkedYAMLError, StreamMark

__all__ = ["explain_syntax"]

_TAB_FIX = "indent with spaces, two per level; YAML forbids tabs there"
_QUOTE_FIX = "put the whole value in double quotes, or write it as a block after |"
_UNCLOSED = {
    "while parsing a flow sequence": ("[", "]"),
    "while parsing a flow mapping": ("{", "}"),
}


def explain_syntax(error: MarkedYAMLError, text: str, last_event: object) -> Problem:
    """Return the problem behind a parser's error.

    ``text``: the file's text. ``last_event``: the last one before the error, None at the start.
    """
    complaint = error.problem or ""
    context = error.context or ""
    at = error.problem_mark or error.context_mark
    opening = error.context_mark
    if at is None:
        return Problem(1, 1, "", "this is not YAML", "check quotes, brackets and indentation")
    if "quoted scalar" in context and "end of stream" in complaint:
        return _unclosed_quote(opening or at)
    if "unknown escape" in complaint or "expected escape" in complaint:
        return _problem(
            at,
            "",
            "this escape does not exist inside double quotes",
            r"write a backslash as \\, or use single quotes",
        )
    if context in _UNCLOSED:
        start, end = _UNCLOSED[context]
        return _problem(
            opening or at,
            start,
            f'this "{start}" is not closed where it should be',
            f'close it with "{end}", and put commas between the entries',
        )
    if "cannot start any token" in complaint:
        return _bad_start(at, text)
    if "mapping values are not allowed" in complaint:
        return _misplaced_colon(at, text)
    if "<block end>" in complaint:
        return _bad_block(at, text, last_event)
    return _other(at, opening or at, context, complaint)


def _unclosed_quote(opening: StreamMark) -> Problem:
    return _problem(
        opening,
        "",
        "this quote is not closed where it should be",
        "close it with the same quote; an apostrophe inside '…' is written twice",
    )


def _bad_start(at: StreamMark, text: str) -> Problem:
    char = _line(text, at.line)[at.column : at.column + 1]
    if char == "\t":
        return _problem(at, "\\t", "a tab stands where the line's indentation is", _TAB_FIX)
    return _problem(at, char, f"a value cannot begin with {quoted(char)}", _QUOTE_FIX)


def _misplaced_colon(at: StreamMark, text: str) -> Problem:
    line = _line(text, at.line)
    before = line[: at.column]
    if ": " in before or ":\t" in before:
        return _problem(
            at,
            ":",
            'a second ":" in one line: the value of a key cannot be followed by another key',
            "begin a new line for the next key, or put the value in quotes",
        )
    key = before.strip()
    return Problem(
        at.line + 1,
        len(line) - len(line.lstrip()) + 1,
        key,
        f"the key {quoted(key)} does not fit what stands above it",
        'give it the indentation of its neighbours, and check that the line above has a ":"',
    )


def _bad_block(at: StreamMark, text: str, last_event: object) -> Problem:
    line = _line(text, at.line)
    start, end = getattr(last_event, "start_mark", at), getattr(last_event, "end_mark", at)
    if getattr(last_event, "style", None) in ("'", '"') and start.line < end.line == at.line:
        return _unclosed_quote(start)  # a later quote has closed it
    if line[: at.column].strip():
        return _problem(
            at,
            "",
            "text follows a value that has ended",
            "put the whole value in double quotes; an apostrophe inside '…' is written twice",
        )
    key = re.split(r":(?:\s|$)", line.strip(), maxsplit=1)[0] if ":" in line else ""
    return _problem(
        at,
        key,
        f"the line{' of ' + quoted(key) if key else ''} is indented unlike its neighbours",
        "give all keys of one mapping the same indentation, two spaces per level",
    )


def _other(at: StreamMark, opening: StreamMark, context: str, complaint: str) -> Problem:
    if "simple key" in context:
        # not quoted: it may be a key of the other kind
        return _problem(
            opening,
            "",
            "this line is neither a key, which needs a colon, nor the text of a key above it",
            'add ":" if it is a key; indent it below its key if it is text',
        )
    if "undefined tag handle" in complaint or "tag" in context:
        return _problem(at, "", "a tag is not allowed: agent.yaml is plain data", _TAG_FIX)
    if "alias" in context or "anchor" in context:
        return _problem(at, "", "a value cannot begin with * or &", _QUOTE_FIX)
    if "block scalar" in context:
        return _problem(
            at,
            "",
            "only a line break may follow | or >",
            "begin the text on the next line, indented by two spaces",
        )
    if "directive" in context or "document start" in complaint:
        return _problem(
            at,
            "",
            "only one mapping of keys may stand in the file",
            "remove lines that begin with %, and anything after a complete value",
        )
    return _problem(
        at, "", "the YAML is broken here", "check the quotes, brackets and indentation around it"
    )


_TAG_FIX = "remove the tag; text that begins with ! goes in double quotes"


def _problem(at: StreamMark, text: str, message: str, fix: str) -> Problem:
    return Problem(at.line + 1, at.column + 1, text, message, fix)


def _line(text: str, index: int) -> str:
    lines = re.split(r"\r\n|\r|\n", text)
    return lines[index] if index < len(lines) else ""
