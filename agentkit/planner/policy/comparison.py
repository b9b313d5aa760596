"""One comparison of one argument, as Cedar writes it for the argument's type."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from agentkit.planner.policy.types import Record, SetOf, UnfitValue, decimal_text, escape, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentkit.planner.policy.types import CedarType, Scalar

__all__ = ["Comparison", "Operand", "UnfitComparison", "comparison_text"]

Operand: TypeAlias = bool | int | float | str


class UnfitComparison(ValueError):
    """A comparison that the argument's type does not have. ``fix``: what to write instead."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is asked of one argument; of several, all must hold. ``*`` in ``like`` is any text."""

    equals: Operand | None = None
    one_of: tuple[Operand, ...] | None = None
    outside: tuple[Operand, ...] | None = None
    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None
    like: str | None = None
    unlike: str | None = None


_ORDERS = {
    "above": (">", "greaterThan"),
    "at_least": (">=", "greaterThanOrEqual"),
    "below": ("<", "lessThan"),
    "at_most": ("<=", "lessThanOrEqual"),
}


def comparison_text(name: str, test: Comparison, kind: CedarType, *, always: bool) -> str:
    """Return the Cedar expression. ``always``: the argument is never absent.

    Raises ``UnfitComparison``.
    """
    value = f"context.arguments[{quote(name)}]"
    guard = "" if always else f"context.arguments has {quote(name)} && "
    found = [f"({guard}{text})" for text in _positive(value, test, kind)]
    found += [f"!({guard}{text})" for text in _allowed(value, test, kind)]
    if not found:
        raise UnfitComparison(
            "nothing is compared", "give equals, one_of, outside, above, like ..."
        )
    return " && ".join(found)


def _positive(value: str, test: Comparison, kind: CedarType) -> Iterator[str]:
    if test.equals is not None:
        yield f"{value} == {_operand(test.equals, _scalar(kind, 'equals'))}"
    if test.one_of is not None:
        yield _membership(value, test.one_of, kind)
    for word, (sign, method) in _ORDERS.items():
        bound = getattr(test, word)
        if bound is not None:
            yield _compare(value, bound, _scalar(kind, word), sign, method)
    if test.like is not None:
        yield _pattern(value, test.like, kind)


def _allowed(value: str, test: Comparison, kind: CedarType) -> Iterator[str]:
    """Yield what must not hold: that the value is one of those it may be."""
    if test.outside is not None:
        if isinstance(kind, SetOf):  # one item outside the list is enough
            items = ", ".join(_operand(item, kind.item) for item in test.outside)
            yield f"[{items}].containsAll({value})"
        else:
            yield _membership(value, test.outside, kind)
    if test.unlike is not None:
        yield _pattern(value, test.unlike, kind)


def _membership(value: str, operands: tuple[Operand, ...], kind: CedarType) -> str:
    if isinstance(kind, SetOf):
        items = ", ".join(_operand(item, kind.item) for item in operands)
        return f"{value}.containsAny([{items}])"
    scalar = _scalar(kind, "one_of")
    return f"[{', '.join(_operand(item, scalar) for item in operands)}].contains({value})"


def _compare(value: str, bound: float, kind: Scalar, sign: str, method: str) -> str:
    if kind == "Long":
        return f"{value} {sign} {_operand(bound, kind)}"
    if kind == "decimal":
        return f"{value}.{method}({_operand(bound, kind)})"
    raise UnfitComparison(
        f"is {kind}, which has no order", "compare numbers; texts by one_of or like"
    )


def _pattern(value: str, pattern: str, kind: CedarType) -> str:
    if kind != "String":
        raise UnfitComparison(
            f"is {kind}, and like compares text",
            "use one_of or outside for lists, above for numbers",
        )
    written = []
    pieces = re.split(r"(\\?\*)", pattern)  # a star, or one that a backslash makes literal
    for piece in pieces:
        stars = piece in {"*", "\\*"}
        written.append(piece if stars else "".join(map(escape, piece)))
    return f'{value} like "{"".join(written)}"'


def _scalar(kind: CedarType, word: str) -> Scalar:
    if isinstance(kind, SetOf | Record):
        what = "a list" if isinstance(kind, SetOf) else "an object"
        raise UnfitComparison(f"is {what}, which {word} cannot compare", "use one_of or outside")
    return kind


def _operand(value: Operand, kind: Scalar) -> str:
    match kind, value:
        case "String", str():
            return quote(value)
        case "Bool", bool():
            return "true" if value else "false"
        case "Long", int() if not isinstance(value, bool):
            return str(value)
        case "decimal", int() | float() if not isinstance(value, bool):
            try:
                return f'decimal("{decimal_text(value, str(value))}")'
            except UnfitValue as unfit:
                raise UnfitComparison(
                    str(unfit), "write at most four digits after the point"
                ) from None
    raise UnfitComparison(f"is {kind}, and {value!r} is not", f"write a value of type {kind}")
