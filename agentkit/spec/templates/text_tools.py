"""Two tools on text. The model sees each function's name, parameters and docstring."""

import re
import unicodedata

from agentkit.tools import tool

_LETTERS = str.maketrans({"æ": "ae", "ø": "o", "å": "a", "ß": "ss", "ð": "d", "þ": "th"})


@tool(effect="read", returns="inputs")
def slugify(text: str) -> str:
    """Turn a title into a short name for a web address."""
    plain = unicodedata.normalize("NFKD", text.lower().translate(_LETTERS))
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


@tool(effect="read", returns="inputs")
def count_words(text: str) -> str:
    """Count the words of a text."""
    return str(len(re.findall(r"\w+", text)))
