"""Functions of the host as a cell sees them, and the check at each import that it makes.

This happens *inside* the walls, in both tiers; see ``cell.py``. It has no imports from agentkit.
What is covered: imports by statement, ``__import__`` and ``importlib``, with names of any making.
What is not covered: code that takes a module from one it already holds (``sys.modules``, a
library's attribute). The wall holds without this check.
"""

from __future__ import annotations

import builtins
import importlib
import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HostFunctionError", "bind", "restrict_imports", "unbind"]


class HostFunctionError(Exception):
    """A function of the host refused the call or failed."""


class _Function:
    """One function of the host: sends its arguments out as JSON and waits for the answer."""

    def __init__(self, name: str, parameters: list[str], call: Callable[[str, str], Any]) -> None:
        self.__name__ = self.__qualname__ = name
        self._parameters = parameters
        self._call = call

    def __repr__(self) -> str:
        return f"<function {self.__name__} of the host>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  JSON of any shape
        if len(args) > len(self._parameters):
            most = len(self._parameters)
            raise TypeError(
                f"{self.__name__}() takes {most} positional arguments but {len(args)} were given"
                if most
                else f"{self.__name__}() takes keyword arguments only"
            )
        arguments = dict(zip(self._parameters, args, strict=False))
        twice = sorted(set(arguments) & set(kwargs))
        if twice:
            raise TypeError(f"{self.__name__}() got multiple values for argument {twice[0]!r}")
        answer = self._call(self.__name__, json.dumps({**arguments, **kwargs}, allow_nan=False))
        if "error" in answer:
            raise HostFunctionError(answer["error"])
        return json.loads(answer["value"])


def bind(
    namespace: dict[str, Any], functions: dict[str, list[str]], call: Callable[[str, str], Any]
) -> None:
    """Put ``functions`` (name → parameters by position) into ``namespace`` for one run.

    ``call`` takes a name and JSON text, and returns ``{"value": JSON text}`` or ``{"error"}``.
    """
    if functions:
        namespace["HostFunctionError"] = HostFunctionError
    for name, parameters in functions.items():
        namespace[name] = _Function(name, parameters, call)


def unbind(namespace: dict[str, Any], functions: dict[str, list[str]]) -> None:
    """Take the functions out again, where the cell left them in place."""
    for name in functions:
        if isinstance(namespace.get(name), _Function):
            del namespace[name]


def restrict_imports(allowed: list[str], stop: Callable[[str], Any]) -> None:
    """Hold every import that a cell makes against ``allowed``; ``stop`` ends the run, saying why.

    Imports that a library makes for itself are not looked at.
    """
    names = frozenset(allowed)

    def check(name: object, level: int, caller: dict[str, Any]) -> None:
        if _is_library(caller) or not isinstance(name, str):
            return
        parts = name.split(".")
        known = any(".".join(parts[:count]) in names for count in range(1, len(parts) + 1))
        if level or not known:
            stop(f"the code imports {name[:80]!r}, which is not allowed")

    def guarded(original: Callable[..., Any]) -> Callable[..., Any]:
        def import_(name: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  __import__'s own
            level = kwargs.get("level", args[3] if len(args) > 3 else 0)  # noqa: PLR2004  __import__'s fifth
            check(name, level, sys._getframe(1).f_globals)  # noqa: SLF001  there is no public way
            return original(name, *args, **kwargs)

        return import_

    import_module = importlib.import_module

    def guarded_import_module(name: str, package: str | None = None) -> Any:  # noqa: ANN401  a module
        check(name, int(name.startswith(".")), sys._getframe(1).f_globals)  # noqa: SLF001  see above
        return import_module(name, package)

    builtins.__import__ = guarded(builtins.__import__)
    importlib.__import__ = guarded(importlib.__import__)
    importlib.import_module = guarded_import_module


def _is_library(namespace: dict[str, Any]) -> bool:
    """Whether ``namespace`` is that of a loaded module other than the cell's own."""
    name = namespace.get("__name__")
    if not isinstance(name, str) or name == "__main__":
        return False
    module = sys.modules.get(name)
    return module is not None and vars(module) is namespace
