"""Python and JSON literals, read by recursive descent with a bounded depth and no evaluation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agentkit.model.toolcalls.syntax import CallProblem
from agentkit.model.toolcalls.values import MAX_DEPTH, clip

if TYPE_CHECKING:
    from agentkit.messages import JsonObject, JsonValue

__all__ = ["LiteralReader"]

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_WORD: Final = re.compile(r"[^\W\d]\w*")
_NUMBER: Final = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(\.[0-9]*)?|(\.[0-9]+))([eE][+-]?[0-9]+)?")
_NO_NUMBER_END: Final = re.compile(r"[\w.]")
_QUOTE: Final = re.compile(r'"""|\'\'\'|"|\'')
_WORDS: Final[dict[str, bool | None]] = {
    "True": True,
    "true": True,
    "False": False,
    "false": False,
    "None": None,
    "null": None,
}
_ESCAPES: Final = {
    "\n": "",
    "\\": "\\",
    "'": "'",
    '"': '"',
    "/": "/",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}
_HEX_LENGTH: Final = {"x": 2, "u": 4, "U": 8}
_HEX: Final = re.compile(r"[0-9A-Fa-f]+")
_OCTAL: Final = re.compile(r"[0-7]{1,3}")
_MAX_NUMBER_LENGTH: Final = 400


class LiteralReader:
    """Reads literals from a text, left to right. Every failure is a ``CallProblem``."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self.at)
        self.at = found.end() if found else self.at

    def at_end(self) -> bool:
        """Skip white space; whether nothing is left."""
        self._skip()
        return self.at == len(self._text)

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Skip white space, then match ``pattern`` and step over it, or stay and return None."""
        self._skip()
        found = pattern.match(self._text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def take(self, mark: str) -> bool:
        """Skip white space; step over ``mark`` if it stands here."""
        self._skip()
        if not self._text.startswith(mark, self.at):
            return False
        self.at += len(mark)
        return True

    def expect(self, mark: str) -> None:
        """Step over ``mark``, which must stand here."""
        if not self.take(mark):
            here = clip(self._text[self.at : self.at + 20]) if not self.at_end() else "the end"
            raise CallProblem(f"Expected '{mark}' at character {self.at}, found {here}.")

    def value(self, depth: int = 0) -> JsonValue:
        """Read one literal: string, number, True/False/None (or JSON's words), list or dict."""
        self._skip()
        if self.take("["):
            return self._list(self._deeper(depth))
        if self.take("{"):
            return self._dict(self._deeper(depth))
        quote = self.match(_QUOTE)
        if quote is not None:
            return self._string(quote[0])
        number = self.match(_NUMBER)
        if number is not None:
            return self._number(number)
        return self._word()

    @staticmethod
    def _deeper(depth: int) -> int:
        if depth >= MAX_DEPTH:
            raise CallProblem(f"The value is nested deeper than {MAX_DEPTH} levels; flatten it.")
        return depth + 1

    def _list(self, depth: int) -> list[JsonValue]:
        items: list[JsonValue] = []
        while not self.take("]"):
            items.append(self.value(depth))
            if not self.take(","):
                self.expect("]")
                break
        return items

    def _dict(self, depth: int) -> JsonObject:
        items: JsonObject = {}
        while not self.take("}"):
            quote = self.match(_QUOTE)
            if quote is None:
                raise CallProblem(f"A key of a dict at character {self.at} is no quoted string.")
            key = self._string(quote[0])
            if key in items:
                raise CallProblem(f"The key {clip(key)} stands twice in one dict; write it once.")
            self.expect(":")
            items[key] = self.value(depth)
            if not self.take(","):
                self.expect("}")
                break
        return items

    def _word(self) -> bool | None:
        start = self.at
        word = self.match(_WORD)
        if word is not None and word[0] in _WORDS:
            return _WORDS[word[0]]
        shown = clip(self._text[start : start + 30]) if start < len(self._text) else "the end"
        raise CallProblem(
            f"The value at character {start} is no literal: {shown}. "
            "Use strings, finite numbers, True, False, None, lists and dicts."
        )

    def _number(self, found: re.Match[str]) -> int | float:
        if _NO_NUMBER_END.match(self._text, self.at):
            raise CallProblem(f"The number at character {found.start()} is malformed.")
        if len(found[0]) > _MAX_NUMBER_LENGTH:  # before int(), which is quadratic
            raise CallProblem(f"The number at character {found.start()} is too long.")
        whole = found[1] is None and found[2] is None and found[3] is None
        return int(found[0]) if whole else float(found[0])

    def _string(self, quote: str) -> str:
        start = self.at
        special = re.compile(rf"\\|{quote}")
        pieces: list[str] = []
        while True:
            found = special.search(self._text, self.at)
            if found is None:
                raise CallProblem(f"The string that starts at character {start - 1} has no end.")
            pieces.append(self._text[self.at : found.start()])
            self.at = found.end()
            if found[0] == quote:
                return _join_surrogates("".join(pieces))
            pieces.append(self._escape())

    def _escape(self) -> str:
        mark = self._text[self.at : self.at + 1]
        if mark in _HEX_LENGTH:
            return self._code_point(mark)
        octal = _OCTAL.match(self._text, self.at)
        if octal is not None:
            self.at = octal.end()
            return chr(int(octal[0], 8))
        self.at += len(mark)
        # An unknown escape stays as it is, as in Python: "\d+" is a pattern, not a mistake.
        return _ESCAPES.get(mark, "\\" + mark)

    def _code_point(self, mark: str) -> str:
        start = self.at + 1
        digits = self._text[start : start + _HEX_LENGTH[mark]]
        if len(digits) < _HEX_LENGTH[mark] or _HEX.fullmatch(digits) is None:
            raise CallProblem(f"The escape \\{mark} at character {self.at} lacks its hex digits.")
        self.at = start + len(digits)
        code = int(digits, 16)
        if code > 0x10FFFF:  # noqa: PLR2004 (the last code point of Unicode)
            raise CallProblem(f"The escape \\U{digits} names no character.")
        return chr(code)


def _join_surrogates(text: str) -> str:
    """Join surrogate pairs, which two escapes of JSON leave apart; unpaired ones stay."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
