"""What a CommonMark renderer makes links and pictures of, whatever way they are written.

The channel's own patterns say where a link stands; the parser says whether one was left that they
did not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["rendered_links", "without_links"]


class _Parser(MarkdownIt):
    """Takes each target as it is written, also one that the usual parser would not let through."""

    def normalizeLink(self, url: str) -> str:  # noqa: N802 - the parser's name for it
        return url

    def validateLink(self, url: str) -> bool:  # noqa: N802, ARG002 - as above
        return True


_PARSER = _Parser("commonmark").enable("table")


def rendered_links(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the target of each link and picture, and whether it is a picture."""
    for block in _PARSER.parse(text):
        for token in block.children or ():
            if token.type == "link_open":
                yield str(token.attrs["href"]), False
            elif token.type == "image":
                yield str(token.attrs["src"]), True


def without_links(text: str) -> str:
    """Return a text in which no bracket makes a link, a picture or an autolink any more."""
    return text.replace("](", "] (").replace("]:", "] :").replace("<", "&lt;")
