"""Whether a program computes from clean values alone.

Code that the model wrote after reading untrusted content is influenced, and so is what it prints;
yet a sum over amounts that all stand in trusted content is as clean as they are. This module tells
such programs from others by their syntax tree.

What is covered: straight-line arithmetic over literals that all stand in trusted content, written
with ``print`` and a few pure functions. Each literal and each name is used once, so that one clean
value contributes once: nothing can be built up from it by repetition (``x / x + x / x + ...``), as
any number could. Where trusted content speaks of percent, the 100 of ``x / 100`` and the 1 of
``1 + 0.12`` may stand beside; an index or a number of decimals may be written down as it is.
Nothing of the session's earlier state may be tainted.

What is not covered: which of the clean values are combined, and by which operation, is the model's
choice. A program that does not fit is not denied: its output is labelled as influenced.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

from agentkit.labels import join_all
from agentkit.messages import ToolCallPart, ToolResultPart
from agentkit.planner.provenance.numbers import plain_number
from agentkit.planner.provenance.readings import Kind

if TYPE_CHECKING:
    from agentkit.labels import Label
    from agentkit.planner.provenance.trace import Tracer

__all__ = ["computed_from"]

_FUNCTIONS = frozenset({"abs", "float", "int", "max", "min", "round", "sorted", "sum"})
_LONGEST = 10_000
_SHAPES = (
    ast.Module,
    ast.Assign,
    ast.Expr,
    ast.BinOp,
    ast.UnaryOp,
    ast.Add,
    ast.Sub,
    ast.Mult,
    ast.Div,
    ast.USub,
    ast.UAdd,
    ast.List,
    ast.Tuple,
    ast.Subscript,
    ast.JoinedStr,
    ast.FormattedValue,
    ast.Name,
    ast.Load,
    ast.Store,
    ast.Constant,
    ast.Call,
)
_WORDS = re.compile(r"(?:[^\W\d_]|[ :=()$€£])*")
_FORMAT = re.compile(r",?(?:\.\d)?f?")


def computed_from(code: str, tool: str, tracer: Tracer) -> Label | None:
    """Return the join of the labels of all values that ``code`` computes from, or None.

    ``tool``: the tool that runs it, whose session may hold what earlier calls left.
    """
    if len(code) > _LONGEST or _session_is_tainted(tool, tracer):
        return None
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return None
    return _Program(tracer).label(tree)


def _session_is_tainted(tool: str, tracer: Tracer) -> bool:
    """Whether an earlier program, or one beside this one, may have left something in the session:
    a value, or another ``sum``.
    """
    results = [item.part for item in tracer.parts if isinstance(item.part, ToolResultPart)]
    finished = {part.call_id for part in results}
    running = [
        item.part.call_id
        for item in tracer.parts
        if isinstance(item.part, ToolCallPart)
        and item.part.name == tool
        and item.part.call_id not in finished
    ]
    return len(running) > 1 or any(
        part.name == tool and not part.label.is_trusted and not part.fields for part in results
    )


class _Program:
    """One program's syntax tree, and what was found of its values."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._labels: list[Label] = []
        self._values: Counter[str] = Counter()

    def label(self, tree: ast.Module) -> Label | None:
        free, words = _written_freely(tree)
        rates = _of_rates(tree)
        assigned: Counter[str] = Counter()
        loaded: Counter[str] = Counter()
        for node in ast.walk(tree):
            if not isinstance(node, _SHAPES) or not _is_plain(node):
                return None
            if isinstance(node, ast.Name):
                (assigned if isinstance(node.ctx, ast.Store) else loaded)[node.id] += 1
            elif (
                isinstance(node, ast.Constant)
                and node not in free
                and not self._is_clean(node, words=node in words, rate=node in rates)
            ):
                return None
        loaded.subtract(_called(tree))
        if any(name not in assigned for name, count in loaded.items() if count > 0):
            return None  # a name from an earlier program, or a function that is not called
        if assigned.keys() & (_FUNCTIONS | {"print"}):
            return None
        loaded.subtract(_shown(tree))
        used = max([*assigned.values(), *loaded.values(), *self._values.values()], default=0)
        return join_all(self._labels) if self._labels and used <= 1 else None

    def _is_clean(self, node: ast.Constant, *, words: bool, rate: bool) -> bool:
        value = node.value
        if isinstance(value, str):
            return words and _WORDS.fullmatch(value) is not None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        self._values[plain_number(Decimal(str(value)))] += 1
        origin = self._tracer.origin("$", "", value)
        if origin.found and origin.label.is_trusted:
            self._labels.append(origin.label)
            return True
        return rate and self._speaks_of_percent()

    def _speaks_of_percent(self) -> bool:
        return any(
            spelling.endswith(" %")
            for part in self._tracer.parts
            for spelling in part.trusted.spellings(Kind.NUMBER)
        )


def _is_plain(node: ast.AST) -> bool:
    """Whether a node of an admitted shape is also written plainly."""
    match node:
        case ast.Call(func=ast.Name(id=name), keywords=[]):
            return name == "print" or name in _FUNCTIONS
        case ast.Call():
            return False
        case ast.Assign(targets=targets):
            return len(targets) == 1 and isinstance(targets[0], ast.Name)
        case ast.JoinedStr(values=pieces):
            # Two values side by side would print as a third.
            return sum(isinstance(piece, ast.FormattedValue) for piece in pieces) <= 1
        case ast.FormattedValue(conversion=conversion, format_spec=spec):
            return conversion == -1 and _is_plain_format(spec)
        case ast.Name(id=name):
            return not name.startswith("__")
    return True


def _is_plain_format(spec: ast.expr | None) -> bool:
    match spec:
        case None:
            return True
        case ast.JoinedStr(values=[ast.Constant(value=str() as text)]):
            return _FORMAT.fullmatch(text) is not None
    return False


def _written_freely(tree: ast.Module) -> tuple[set[ast.AST], set[ast.AST]]:
    """Return the constants that need no origin (indices, decimals, formats), and the words that
    are only printed.
    """
    free: set[ast.AST] = set()
    words: set[ast.AST] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(slice=ast.Constant(value=int()) as index):
                free.add(index)
            case ast.Call(func=ast.Name(id="round"), args=[_, ast.Constant(value=int()) as digits]):
                free.add(digits)
            case ast.FormattedValue(format_spec=ast.JoinedStr(values=pieces)):
                free.update(pieces)
            case ast.Call(func=ast.Name(id="print"), args=shown):
                words.update(shown)
            case ast.JoinedStr(values=pieces):
                words.update(pieces)
    return free, words


def _of_rates(tree: ast.Module) -> set[ast.AST]:
    """Return the 100 of ``x / 100`` and the 1 of ``1 + 0.12`` and ``1 - 12 / 100``."""
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        match node:
            case ast.BinOp(op=ast.Div(), right=ast.Constant(value=100) as hundred):
                found.add(hundred)
            case ast.BinOp(
                left=ast.Constant(value=1) as one,
                op=ast.Add() | ast.Sub(),
                right=ast.BinOp(op=ast.Div()) | ast.Constant(value=float()),
            ):
                found.add(one)
    return found


def _called(tree: ast.Module) -> list[str]:
    return [
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]


def _shown(tree: ast.Module) -> list[str]:
    """Return the names that are printed as they are: to show a value is not to compute with it."""
    names: list[str] = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="print"), args=shown):
                names += [item.id for item in shown if isinstance(item, ast.Name)]
            case ast.FormattedValue(value=ast.Name(id=name)):
                names.append(name)
    return names
