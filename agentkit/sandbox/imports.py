"""Read from code's syntax what it imports, before it runs, and hold that against an allowlist.

What is covered: import statements, and ``__import__`` and ``import_module`` of written-out names,
anywhere in the code. Relative imports are refused: a cell is in no package.
What is not covered: names built while the code runs; ``cell.py`` looks at those at the import
itself. Source that does not parse here runs into its own error, or into the check inside.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentkit.sandbox.interface import ImportAllowlist

__all__ = ["forbidden_import"]

_FUNCTIONS = {"__import__", "import_module"}
_SHOWN = 12
_CHARACTERS = 1 << 16  # a tree takes a thousand times the memory of its text


def forbidden_import(code: str, allowed: ImportAllowlist) -> str:
    """Return what is wrong with the imports of ``code`` as a sentence; empty where nothing is."""
    if len(code) > _CHARACTERS:
        return (
            f"the code's imports cannot be read: it has {len(code)} characters, of which at most "
            f"{_CHARACTERS} are read; give its data as files"
        )
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return ""
    except (ValueError, RecursionError, MemoryError) as error:
        return f"the code's imports cannot be read: {type(error).__name__}"
    for name in _imports(tree):
        if not allowed.permits(name):
            shown = sorted(allowed.modules)
            more = ", ..." if len(shown) > _SHOWN else ""
            listed = ", ".join(shown[:_SHOWN]) + more if shown else "nothing"
            return f"the code imports {name[:80]!r}; allowed: {listed}"
    return ""


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")
        elif isinstance(node, ast.Call) and _called(node.func) in _FUNCTIONS:
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Name):
        return function.id
    return function.attr if isinstance(function, ast.Attribute) else ""
