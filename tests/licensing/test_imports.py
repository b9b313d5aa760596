"""The room decides from its tables alone, so it needs nothing but the standard library."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import agentkit.licensing

SOURCES = sorted(Path(agentkit.licensing.__file__).parent.glob("*.py"))


def test_the_room_imports_nothing_but_the_standard_library_and_the_vocabulary() -> None:
    imported: set[str] = set()
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
            elif isinstance(node, ast.Import):
                imported.update(alias.name for alias in node.names)
    own = {name for name in imported if name.startswith("agentkit.")}
    assert {name.partition(".")[0] for name in imported - own} <= set(sys.stdlib_module_names)
    assert {name for name in own if not name.startswith("agentkit.licensing")} <= {
        "agentkit.errors",
        "agentkit.messages",
    }
