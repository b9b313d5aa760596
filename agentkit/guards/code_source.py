"""Parsing hostile Python source without harm to the parser's process.

CPython's parser and its tree builder recurse in C. What nests too deeply, or is too long, is
refused by a linear look at the text before the parser sees it; what the parser refuses itself is
told apart into wrong syntax (it may be newer than ours) and attacks on the parser.
"""

from __future__ import annotations

import ast
import re
import threading
import warnings

__all__ = ["LONGEST_SOURCE", "SourceRefused", "parse_source"]

LONGEST_SOURCE = 128 * 1024
"""Characters; longer code is data in disguise, and data belongs in files."""

_DEEPEST_BRACKETS = 60
_LONGEST_CHAIN = 400

# String literals and comments as Python's own tokenizer ends them, so that their content is not
# counted; every part is possessive, so the search is linear.
_LEXEME = re.compile(
    r"(?P<skip>#[^\n]*+|'''(?:[^'\\]|\\.|'(?!''))*+'''|\"\"\"(?:[^\"\\]|\\.|\"(?!\"\"))*+\"\"\""
    r"|'(?:[^'\\\n]|\\.)*+'|\"(?:[^\"\\\n]|\\.)*+\")"
    r"|\\\n|(?P<line>\n)|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<part>[,;])"
    r"|(?P<link>[-+*/%@&|^~.=<>!]++|\b(?:not|lambda|if|else|elif|await|for|and|or|in|is)\b)"
    r"|\w++",
    re.DOTALL,
)


_WARNING_FILTERS = threading.Lock()


class SourceRefused(Exception):
    """The source cannot be judged; the message says why, as the end of a sentence."""


def parse_source(source: str) -> ast.Module:
    """Parse a module. Raises ``SyntaxError`` for wrong syntax, ``SourceRefused`` for the rest."""
    if len(source) > LONGEST_SOURCE:
        raise SourceRefused(f"it is longer than {LONGEST_SOURCE} characters")
    if "\x00" in source:
        raise SourceRefused("it holds null bytes")
    _refuse_depth(source)
    try:
        # An odd escape in the guest's code is no matter for our own warning filters. These belong
        # to the process: two scans that change them in turn could leave them changed.
        with _WARNING_FILTERS, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (RecursionError, MemoryError) as error:
        raise SourceRefused("it nests too deeply") from error
    except SyntaxError:
        raise
    except ValueError as error:
        raise SourceRefused("it is not text that Python can read") from error


def _refuse_depth(source: str) -> None:
    """Bound the brackets, the operators of one expression and the branches of one ``if``.

    Indentation needs no bound here: Python's tokenizer stops at 100 levels.
    """
    chains = [0]  # operators so far in the expression inside each open bracket
    branches = 0
    for lexeme in _LEXEME.finditer(source):
        kind, text = lexeme.lastgroup, lexeme.group()
        if kind == "open":
            chains.append(chains[-1])
        elif kind == "close":
            chains = chains[:-1] or [0]
            chains[-1] += 1
        elif kind == "part":
            chains[-1] = chains[-2] if len(chains) > 1 else 0
        elif kind == "link":
            chains[-1] += 1 if text.isalpha() else len(text)
            branches += text == "elif"
        elif kind == "line" and len(chains) == 1:
            chains[0] = 0
        if len(chains) > _DEEPEST_BRACKETS:
            raise SourceRefused(f"its brackets nest deeper than {_DEEPEST_BRACKETS}")
        if chains[-1] > _LONGEST_CHAIN or branches > _LONGEST_CHAIN:
            raise SourceRefused(f"it chains more than {_LONGEST_CHAIN} operators or branches")
