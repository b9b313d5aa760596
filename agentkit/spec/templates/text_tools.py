"""Two tools on text. The model sees each function's name, parameters and docstring."""

import re
import unicodedata

_LETTERS = str.maketrans({"æ": "ae", "ø": "o", "å": "a", "ß": "ss", "ð": "d", "þ": "th"})


def slugify(text: str) -> str:
    """Turn a title into a short name for a web address: lower case, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", text.lower().translate(_LETTERS))
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def count_words(text: str) -> int:
    """Count the words of a text."""
    return len(re.findall(r"\w+", text))
