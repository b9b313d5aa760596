"""One spelling for the same words: case, white space, quotes, dashes and Unicode forms folded.

What is covered: canonical equivalence, case, runs of white space, typographic quotes and dashes.

What is not covered: characters that only look alike (a Cyrillic letter for a Latin one), letters
that are only written as others (a sharp s for two, a ligature, a long s) and invisible ones: these
stay different, for the tool would be given what stands there and not what it looks like.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

__all__ = ["fold", "is_distinctive", "lower", "stands_alone"]

_ALIKE = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"),
        **dict.fromkeys("\u2018\u2019\u02bc\u00b4", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"'),
    }
)

_OPENING = frozenset(" \n\"'([{<`*")
_CLOSING = frozenset("\"')]}>,;:.!?`*")

# A text that holds "a" or "no" somewhere vouches for no recipient and no account.
_SHORTEST = 3

# Words that stand in almost any text: alone, they name nothing.
_COMMON_WORDS = """
the and for you all any are but can did does from get had has have her him his how into its
just let may more most new not now off one only other our out over own per please put say see
send she should some that their them then there these they this those too under use very was
way were what when where which who why will with would yes your about after again also been
before being both could each here than true false null none
alle alt andre annen av bare ble blir bort den der deres det dette din disse ditt du eller
enn ett etter for fra gjør gjøre han har hun hva hvem hvor hvordan ikke ingen inn jeg kan kom
mange med meg men mer min mitt mot når noe noen nå ned oss også opp over seg selv sin sitt
skal som til under uten var ved være vil vår takk gjerne
"""
_COMMON = frozenset(_COMMON_WORDS.split())


def fold(text: str) -> str:
    """Return the text's one spelling; folding twice changes nothing."""
    decomposed = lower(unicodedata.normalize("NFD", text.translate(_ALIKE)))
    composed = unicodedata.normalize("NFC", decomposed)
    return " ".join(composed.split())


def lower(text: str) -> str:
    """Return the text with each capital letter of a true pair as its small one.

    ``str.casefold`` writes different letters alike, and so different addresses: ``ß`` and ``ss``.
    """
    return text.lower() if text.isascii() else "".join(map(_small, text))


@lru_cache(4096)
def _small(character: str) -> str:
    small = character.lower()
    return small if small.upper() == character else character


def is_distinctive(folded: str) -> bool:
    """Whether finding these words in a text says anything of where they came from."""
    if sum(character.isalnum() for character in folded) < _SHORTEST:
        return False
    return any(_is_telling(word.strip(".,;:!?\"'()")) for word in folded.split())


def _is_telling(word: str) -> bool:
    return (len(word) >= _SHORTEST and word not in _COMMON) or any(map(str.isdigit, word))


def stands_alone(text: str, start: int, end: int) -> bool:
    """Whether ``text[start:end]`` of a folded text stands by itself.

    It does between white space, quotes and brackets; punctuation may follow where the sentence
    goes on or ends. So ``example.no`` does not in ``kari@example.no``, nor ``kari@example.no`` in
    ``kari@example.no.evil.example``.
    """
    if start and text[start - 1] not in _OPENING:
        return False
    if text.startswith("'s", end):
        end += 2
    length = len(text)
    while end < length and text[end] in _CLOSING:
        end += 1
    return end == length or text[end] in " \n"
