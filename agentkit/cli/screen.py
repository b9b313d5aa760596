"""Where things are written, and in which shape: results to stdout, everything else to stderr.

Colours only on a terminal, and not where NO_COLOR is set. On a terminal text is wrapped; in a pipe
each row of a table is one line. Nothing printed here is read as markup.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO, cast

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agentkit.cli.untrusted import clean, one_line
from agentkit.errors import AgentkitError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Screen", "decided", "state_style"]

_PIPE_WIDTH = 10_000
_LABEL_WIDTH = 10
_LINE = 400
_INDENT = "  "
_WORD_WIDTH = 9

_STYLES: Mapping[str, str] = {
    "allow": "green",
    "approved": "green",
    "ok": "green",
    "verified": "green",
    "ask": "yellow",
    "redact": "yellow",
    "review": "yellow",
    "inert": "yellow",
    "withheld": "red",
    "optional": "yellow",
    "block": "red",
    "deny": "red",
    "error": "red",
    "missing": "red",
    "refused": "red",
}


def state_style(word: str) -> str:
    """Return the style of a state, decision or verdict; nothing special where it is none."""
    return _STYLES.get(word, "")


def decided(word: str, rest: str = "") -> Text:
    """Return a decision in its colour, and what there is to say of it on one line."""
    line = Text(word.ljust(_WORD_WIDTH) if rest else word, style=state_style(word))
    return line.append(one_line(rest, _LINE), style="default")


@dataclass(frozen=True, slots=True)
class Screen:
    """stdout and stderr of this process."""

    out: Console
    err: Console

    @classmethod
    def here(cls) -> Screen:
        """Return the screen as the streams are now."""
        return cls(_console(sys.stdout), _console(sys.stderr))

    @property
    def is_interactive(self) -> bool:
        """Whether a person watches both streams."""
        return self.out.is_terminal and self.err.is_terminal

    def title(self, text: str) -> None:
        """Begin a section."""
        self.out.print()
        self.out.print(Text(text, style="bold"))

    def row(self, label: str, text: str | Text, *, style: str = "") -> None:
        """Print one labelled line of a section."""
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=len(_INDENT) + _LABEL_WIDTH)
        grid.add_column(overflow="fold")
        shown = text if isinstance(text, Text) else Text(clean(text), style=style)
        grid.add_row(Text(_INDENT + label, style="dim"), shown)
        self.out.print(grid)

    def block(self, text: str, *, indent: int = 13, lines: int | None = None) -> None:
        """Print untrusted text behind a bar, so that it can be taken for nothing else.

        ``lines``: how many at most; the rest is counted.
        """
        every = clean(text).strip("\n").split("\n")
        shown = every if lines is None else every[:lines]
        for line in shown:
            self._barred(line, indent)
        if len(every) > len(shown):
            self._barred(f"({len(every) - len(shown)} more lines)", indent, style="dim")

    def table(self, *headings: str, rows: Iterable[Iterable[str | Text]], title: str = "") -> None:
        """Print a table; plain strings are cleaned."""
        table = Table(
            *headings, box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, title=title or None
        )
        for column in table.columns:
            column.overflow = "fold"
        table.columns[0].no_wrap = True
        for row in rows:
            table.add_row(*(cell if isinstance(cell, Text) else Text(clean(cell)) for cell in row))
        with self.out.capture() as captured:
            self.out.print(table)
        # Rows are padded to the table's width; in a pipe nobody needs the spaces.
        lines = captured.get().split("\n")
        self._write("\n".join(line.rstrip() for line in lines))

    def emit(self, value: object) -> None:
        """Print a result as JSON for a program: pure ASCII, so that no terminal can be steered."""
        self._write(json.dumps(value, indent=2, default=str) + "\n")

    def note(self, text: str, *, style: str = "") -> None:
        """Write a line to stderr."""
        self.err.print(Text(clean(text), style=style), soft_wrap=True)

    def _write(self, text: str) -> None:
        self.out.file.write(text)
        self.out.file.flush()

    def _barred(self, line: str, indent: int, style: str = "") -> None:
        bar = "│" if self.out.encoding.startswith("utf") else "|"
        room = max(self.out.width - indent - 2, 20)
        text = Text(line, style=style)
        pieces = text.wrap(self.out, room) if self.out.is_terminal else [text]
        for piece in pieces or [text]:
            head = Text(" " * indent).append(f"{bar} ", style="dim").append_text(piece)
            head.rstrip()
            self.out.print(head, soft_wrap=True)


class _Output:
    """A stream that says what is wrong with it; a closed pipe is nothing to speak of."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with _as_error():
            return self._stream.write(text)

    def flush(self) -> None:
        with _as_error():
            self._stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


@contextmanager
def _as_error() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise AgentkitError(
            f"the output cannot be written: {error.strerror}",
            cure="free space where it goes, or send it to another place",
        ) from error


def _console(stream: TextIO) -> Console:
    return Console(
        file=cast("TextIO", _Output(stream)),
        markup=False,
        highlight=False,
        emoji=False,
        width=None if stream.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH,
        color_system=None if os.environ.get("NO_COLOR") or not stream.isatty() else "auto",
    )
