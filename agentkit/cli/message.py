"""The user's message: from the command line, or from stdin where it is ``-``."""

from __future__ import annotations

import sys

from agentkit.errors import AgentkitError

__all__ = ["read_message"]

_STDIN = "-"


def read_message(argument: str) -> str:
    """Return the message's text. Raises ``AgentkitError`` where it is empty or no UTF-8."""
    try:
        if argument == _STDIN:
            text = sys.stdin.buffer.read().decode("utf-8")
        else:
            # What the shell passed in another encoding arrives here as lone surrogates.
            text = argument.encode("utf-8").decode("utf-8")
    except UnicodeError as error:
        raise AgentkitError(
            "the message is not UTF-8", cure="convert it, for example with: iconv -t utf-8"
        ) from error
    if not text.strip():
        raise AgentkitError(
            "the message is empty", cure='give it as an argument: agentkit run FILE "What is ..."'
        )
    return text.strip()
