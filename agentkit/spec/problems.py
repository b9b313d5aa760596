"""What is wrong with an agent.yaml: every problem, each with its place and its fix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentkit.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Problem", "SpecProblems", "quoted"]

_SHOWN = 25
_QUOTE_CHARS = 48


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong.

    ``line``, ``column``: 1-based, in characters, of the offending key or value. ``text``: the
    offending text as it may be shown (empty where it could be a secret). ``message``: what is
    wrong. ``fix``: what to write instead.
    """

    line: int
    column: int
    text: str
    message: str
    fix: str


class SpecProblems(SpecError):
    """All problems of one file; ``place`` is that of the first one.

    ``problems`` is sorted by place and complete; the rendered message shows the first 25.
    """

    def __init__(self, path: str, problems: Iterable[Problem]) -> None:
        self.path = path
        self.problems = tuple(sorted(set(problems)))
        first = self.problems[0]
        place = f"{path}:{first.line}:{first.column}"
        if len(self.problems) == 1:
            super().__init__(first.message, cure=first.fix, place=place)
            return
        lines = [f"{len(self.problems)} problems"]
        for problem in self.problems[:_SHOWN]:
            lines.append(f"  {path}:{problem.line}:{problem.column}: {problem.message}")
            lines.append(f"    fix: {problem.fix}")
        if len(self.problems) > _SHOWN:
            lines.append(f"  … and {len(self.problems) - _SHOWN} more")
        super().__init__(
            "\n".join(lines),
            cure="correct each place; all problems of the file are checked in one go",
            place=place,
        )


def quoted(text: str) -> str:
    """Return ``text`` in double quotes on one line, shortened past 48 characters."""
    shown = text if len(text) <= _QUOTE_CHARS else text[: _QUOTE_CHARS - 1] + "…"
    return '"' + "".join(char if char.isprintable() else _escape(char) for char in shown) + '"'


def _escape(char: str) -> str:
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char, f"\\u{ord(char):04x}")
