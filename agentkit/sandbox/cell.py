"""Run one piece of code as a notebook cell: this is what happens *inside* the walls.

The same file is built into the wasm guest and copied into the docker image, so that both tiers
mean the same by value, error and traceback. It has no imports from agentkit and trusts nothing to
it: whoever asked treats the outcome as written by the code itself.
"""

from __future__ import annotations

import ast
import json
import linecache
import sys
import traceback
from contextlib import suppress
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["evaluate", "fresh_namespace"]

_NAME = "<cell>"
_VALUE_BYTES = 1 << 20
_PROBE_BYTES = 8 << 20
_VALUE_DEPTH = 200
_ENCODER = json.JSONEncoder(allow_nan=False)
_EXHAUSTED = ("without exception set", "without setting an exception")


def fresh_namespace() -> dict[str, Any]:
    """Return the globals of a new session: those of a new ``__main__``, as pickle and dataclasses
    look classes up there.
    """
    main = ModuleType("__main__")
    sys.modules["__main__"] = main
    vars(main)["__builtins__"] = __builtins__
    return vars(main)


def evaluate(
    code: str,
    namespace: dict[str, Any],
    show: Callable[[Any], list[dict[str, str]]],
    figures: Callable[[], list[dict[str, str]]],
    room: int,
) -> dict[str, Any]:
    """Run ``code`` in ``namespace``; tracebacks go to ``sys.stderr``.

    ``show`` and ``figures`` are those of ``display.py``. Returns ``exit`` (``ok``, ``error`` or
    ``memory``), ``value`` (the last expression as JSON text, or None), ``error`` (the last line of
    the traceback), ``state_lost``, and ``shown``: what may be displayed, in the order it was made,
    up to ``room`` characters.
    """
    outcome, value = _run(code, namespace)
    shown = [*_attempt(figures), *(() if value is None else _attempt(show, value))]
    outcome["shown"] = _within(shown, room)
    return outcome


def _run(code: str, namespace: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """Return the outcome, and the last expression's value where there is one to show."""
    try:
        body, last = _compile(code)
    except BaseException as error:  # noqa: BLE001  a parser fails in many ways; all are the code's
        return _failed("error", error, hide=None), None
    value: Any = None
    try:
        if body is not None:
            exec(body, namespace)  # noqa: S102  running code is what a sandbox is for
        if last is not None:
            value = eval(last, namespace)  # noqa: S307  the cell's own last expression
    except MemoryError as error:
        return _out_of_memory(error, namespace), None
    except SystemExit as error:
        if error.code in {None, 0}:
            return _outcome("ok"), None
        return _outcome("error", error=f"SystemExit: {error.code}"), None
    except BaseException as error:  # noqa: BLE001  whatever the code raises is its result
        # Where memory ends while a frame is made, CPython 3.11 finds no exception to raise.
        if isinstance(error, SystemError) and str(error).endswith(_EXHAUSTED):
            return _out_of_memory(MemoryError("no room for another frame"), namespace), None
        return _failed("error", error, hide=_run.__code__), None
    text = _as_json(value)
    return _outcome("ok", value=text), value


def _attempt(show: Callable[..., list[dict[str, str]]], *values: object) -> list[dict[str, str]]:
    """Return what ``show`` returns; a value that cannot be shown is not shown."""
    try:
        return show(*values)
    except BaseException:  # noqa: BLE001  a value may run code of its own; then it is no display
        return []


def _within(shown: list[dict[str, str]], room: int) -> list[dict[str, str]]:
    """Return as many of ``shown`` as fit into the room that an answer has for them."""
    kept = []
    for item in shown:
        room -= len(item["data"])
        if room < 0:
            break
        kept.append(item)
    return kept


def _compile(code: str) -> tuple[CodeType | None, CodeType | None]:
    """Return the statements and the last expression, compiled; None for what there is not."""
    linecache.cache[_NAME] = (len(code), None, code.splitlines(keepends=True), _NAME)
    if "\n" not in code and "=" not in code:  # most likely one expression: no tree is needed
        with suppress(SyntaxError):
            return None, compile(code, _NAME, "eval", dont_inherit=True)
    tree = ast.parse(code, _NAME)
    last = None
    final = tree.body[-1] if tree.body else None
    if isinstance(final, ast.Expr):
        tree.body.pop()
        last = compile(ast.Expression(final.value), _NAME, "eval", dont_inherit=True)
    body = compile(tree, _NAME, "exec", dont_inherit=True) if tree.body else None
    return body, last


def _outcome(
    exit_reason: str, *, value: str | None = None, error: str = "", state_lost: bool = False
) -> dict[str, Any]:
    return {"exit": exit_reason, "value": value, "error": error, "state_lost": state_lost}


def _failed(exit_reason: str, error: BaseException, hide: CodeType | None) -> dict[str, Any]:
    """Print the traceback without this file's own frames; return its last line as the error."""
    try:
        frames = error.__traceback__
        while frames is not None and hide is not None and frames.tb_frame.f_code is hide:
            frames = frames.tb_next
        if hide is None:
            frames = None
        lines = traceback.format_exception(type(error), error, frames)
        sys.stderr.write("".join(lines))
        last = "".join(traceback.format_exception_only(type(error), error)).strip()
        text = last.splitlines()[-1]
    except BaseException:  # noqa: BLE001  an exception may be built to break its own printing
        text = type(error).__name__
    return _outcome(exit_reason, error=text[:2000])


def _out_of_memory(error: MemoryError, namespace: dict[str, Any]) -> dict[str, Any]:
    """Answer with what is left; where that is too little to go on, give the state up."""
    error.__traceback__ = None
    try:
        bytearray(_PROBE_BYTES)
    except MemoryError:
        namespace.clear()
        namespace.update(__name__="__main__", __builtins__=__builtins__)
        return _outcome("memory", error="MemoryError: nothing is left", state_lost=True)
    return _outcome("memory", error="MemoryError: " + (str(error) or "out of memory"))


def _as_json(value: object) -> str | None:
    """Return ``value`` as JSON text; None where it is no JSON or is too large to be one."""
    if value is None:
        return None
    try:
        if _is_too_deep(value):
            return None
        text = _ENCODER.encode(value)
    except BaseException:  # noqa: BLE001  a value may run code of its own; then it is no value
        return None
    return text if len(text) <= _VALUE_BYTES else None


def _is_too_deep(value: object) -> bool:
    """Whether ``value`` is nested so deeply that the encoder's recursion could end the stack."""
    level = [value]
    for _ in range(_VALUE_DEPTH):
        if not level:
            return False
        if len(level) > _VALUE_BYTES:
            return True
        level = [
            item
            for outer in level
            if isinstance(outer, (list, tuple, dict))
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return True
