"""The example turns that teach a small model to call tools in ChatML.

They show form, not facts: arithmetic and text operations for the tool that runs code, and for any
other tool what its own schema says, with placeholder values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agentkit.messages import FunctionDeclaration, JsonObject, JsonValue

__all__ = ["ANSWER_EXAMPLES", "CODE_EXAMPLES", "schema_examples"]

CODE_EXAMPLES: Final = (
    ("What is (6 + 2) * 7?", "print((6 + 2) * 7)"),
    ("What is 90 / 4?", "print(90 / 4)"),
    (
        "What is the mean of 10, 30 and 50?",
        "numbers = [10, 30, 50]\nprint(sum(numbers) / len(numbers))",
    ),
    ("Put 3, 1 and 2 in order.", "print(sorted([3, 1, 2]))"),
    (
        "How many days from 2020-05-01 to 2020-06-20?",
        "from datetime import date\nprint(date(2020, 6, 20) - date(2020, 5, 1))",
    ),
    ("How many a are in 'banana'?", "print('banana'.count('a'))"),
    ("Spell 'Anna' backwards.", "print('Anna'[::-1])"),
)
"""Question and code."""

ANSWER_EXAMPLES: Final = (
    ("What is the total of 5, 9 and 2?", "16", "The total of 5, 9 and 2 is 16."),
    ("What is (6 + 2) * 7?", "56", "(6 + 2) * 7 is 56."),
    ("How many a are in 'banana'?", "3", "There are 3 a in 'banana'."),
    (
        "Put 'fig', 'apple' and 'kiwi' in order.",
        "['apple', 'fig', 'kiwi']",
        "In order they are apple, fig and kiwi.",
    ),
)
"""Question, result and the sentence that states it."""

_WORDS: Final = ("one", "two", "three")


def schema_examples(tool: FunctionDeclaration) -> list[tuple[str, JsonObject]]:
    """Return two requests and the arguments that a call of ``tool`` has for them."""
    properties = tool.parameters.get("properties")
    required = tool.parameters.get("required")
    if not isinstance(properties, dict):
        return [(f"Use {tool.name}.", {})]
    names = [str(name) for name in required] if isinstance(required, list) else list(properties)
    examples: list[tuple[str, JsonObject]] = []
    for number in range(2):
        values = {name: _value(properties.get(name), number) for name in names}
        said = " and ".join(f"{name} {value!r}" for name, value in values.items())
        examples.append((f"{tool.description.rstrip('.')}: {said}", values))
    return examples


def _value(schema: JsonValue, number: int) -> JsonValue:
    """Return a placeholder of the schema's type; a string where the type is not plain."""
    if not isinstance(schema, dict):
        return _WORDS[number]
    choices = schema.get("enum")
    if isinstance(choices, list) and choices:
        return choices[number % len(choices)]
    plain: dict[JsonValue, JsonValue] = {
        "integer": number + 3,
        "number": number + 2.5,
        "boolean": number == 0,
        "array": [_value(schema.get("items"), n) for n in range(number + 1, 3)],
        "object": {},
    }
    kind = schema.get("type")
    return plain.get(kind, _WORDS[number]) if isinstance(kind, str) else _WORDS[number]
