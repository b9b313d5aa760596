"""The user's message: from the command line, from stdin where it is ``-``, or a line of a chat."""

from __future__ import annotations

import sys

from agentkit.errors import AgentkitError

__all__ = ["checked", "read_message"]

_STDIN = "-"


def read_message(argument: str) -> str:
    """Return the message's text. Raises ``AgentkitError`` where it is empty or no UTF-8."""
    if argument == _STDIN:
        argument = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    text = checked(argument)
    if not text.strip():
        raise AgentkitError(
            "the message is empty", cure='give it as an argument: agentkit run FILE "What is ..."'
        )
    return text.strip()


def checked(text: str) -> str:
    """Return ``text``. Raises ``AgentkitError`` where it was no UTF-8.

    What came in another encoding stands in it as lone surrogates, which no message can hold.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise AgentkitError(
            "the message is not UTF-8", cure="convert it, for example with: iconv -t utf-8"
        ) from error
    return text
