"""Finding what a syntax tree reaches for; every walk is a loop, so that no tree is too deep."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, NamedTuple

from agentkit.guards.code_policy import (
    BUILT_STRING_CALLS,
    DENIED_ATTRIBUTES,
    DENIED_MEMBERS,
    DENIED_MODULES,
    DENIED_NAMES,
    NOTED_MODULES,
)
from agentkit.guards.code_source import parse_source

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Finding", "find_in_tree"]

_FORMAT_FIELD = re.compile(r"\{([^{}]{1,200}+)")
_WORD = re.compile(r"\w+")
_OUTSIDE = re.compile(r"^(?:/|~|[A-Za-z]:[\\/])|(?:^|/)\.\.(?:/|$)")
_URL = re.compile(r"^(?:https?|ftp|s3|gs|wss?)://", re.IGNORECASE)
_ATTRIBUTE_CALLS = frozenset({"getattr", "setattr", "delattr"})
_NESTED_SOURCES = 3
_LONGEST_FOLD = 4096
_HUGE = 10**8
_HUGE_POWER = 10**4


class Finding(NamedTuple):
    """Something that code reaches for. ``what`` completes "line 3 ..."."""

    category: str
    line: int
    what: str
    denied: bool


def find_in_tree(
    tree: ast.AST, allowed_imports: frozenset[str] | None, depth: int = 0
) -> list[Finding]:
    """Return everything of note, by line. ``allowed_imports``: see ``scan_python``.

    Raises ``SourceRefused`` and ``SyntaxError`` for written-out code inside the code.
    """
    nodes = list(ast.walk(tree))
    aliases = _module_aliases(nodes)
    found: list[Finding] = []
    called_with_text: set[int] = set()
    for node in nodes:
        if isinstance(node, ast.Call):
            text = _run_text(node)
            if text is not None and depth < _NESTED_SOURCES:
                called_with_text.add(id(node.func))
                inner = find_in_tree(parse_source(text.strip()), allowed_imports, depth + 1)
                found.extend(finding._replace(line=node.lineno) for finding in inner)
        found.extend(_of_node(node, aliases, allowed_imports, called_with_text))
    return sorted(dict.fromkeys(found), key=lambda finding: finding.line)


def _of_node(
    node: ast.AST,
    aliases: dict[str, str],
    allowed_imports: frozenset[str] | None,
    called_with_text: set[int],
) -> Iterator[Finding]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from _imports(node, allowed_imports)
    elif isinstance(node, ast.Attribute):
        yield from _attribute(node, aliases)
    elif isinstance(node, ast.Name):
        if node.id in DENIED_NAMES:
            yield Finding("code.dunder", node.lineno, f"names {node.id}", denied=True)
        elif node.id in BUILT_STRING_CALLS and id(node) not in called_with_text:
            yield Finding("code.dynamic", node.lineno, f"runs built text by {node.id}", denied=True)
    elif isinstance(node, ast.Call):
        yield from _call(node, aliases)
    else:
        yield from _shape(node)


def _shape(node: ast.AST) -> Iterator[Finding]:
    """Find what needs no names to be resolved."""
    if isinstance(node, ast.Constant | ast.BinOp | ast.JoinedStr):
        yield from _value(node)
    elif isinstance(node, ast.MatchClass):
        for name in DENIED_ATTRIBUTES.intersection(node.kwd_attrs):
            yield Finding("code.dunder", node.lineno, f"reads {name}", denied=True)
    elif isinstance(node, ast.While) and _is_endless(node):
        yield Finding("code.endless_loop", node.lineno, "loops without an end", denied=False)


def _module_aliases(nodes: list[ast.AST]) -> dict[str, str]:
    """Return name → dotted module, for every import and every plain renaming, wherever it is."""
    aliases: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for name in node.names:
                root = name.name.partition(".")[0]
                aliases[name.asname or root] = name.name if name.asname else root
        elif isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                aliases[name.asname or name.name] = f"{node.module}.{name.name}"
    for node in nodes:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Name)
            and node.value.id in aliases
        ):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    aliases[target.id] = aliases[node.value.id]
    return aliases


def _imports(
    node: ast.Import | ast.ImportFrom, allowed_imports: frozenset[str] | None
) -> Iterator[Finding]:
    module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
    for alias in node.names:
        name = f"{module}.{alias.name}" if module else alias.name
        category = _denied_module(name) or _denied_member(module, alias.name)
        if not category and alias.name == "*" and module in DENIED_MEMBERS:
            category = next(iter(DENIED_MEMBERS[module].values()))
        if not category and alias.name in DENIED_ATTRIBUTES | DENIED_NAMES:
            category = "code.dunder"
        root = name.partition(".")[0]
        if category:
            yield Finding(category, node.lineno, f"imports {name}", denied=True)
        elif allowed_imports is not None and root not in allowed_imports:
            what = f"imports {root}, which is not among the allowed modules"
            yield Finding("code.import_not_allowed", node.lineno, what, denied=True)
        elif root in NOTED_MODULES:
            yield Finding(NOTED_MODULES[root], node.lineno, f"imports {name}", denied=False)


def _denied_module(name: str) -> str:
    parts = name.split(".")
    prefixes = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
    return next((DENIED_MODULES[prefix] for prefix in prefixes if prefix in DENIED_MODULES), "")


def _denied_member(module: str, member: str) -> str:
    return DENIED_MEMBERS[module].get(member, "") if module in DENIED_MEMBERS else ""


def _attribute(node: ast.Attribute, aliases: dict[str, str]) -> Iterator[Finding]:
    if node.attr in DENIED_ATTRIBUTES:
        yield Finding("code.dunder", node.lineno, f"reads {node.attr}", denied=True)
        return
    owner = _dotted(node.value, aliases)
    category = _denied_member(owner, node.attr) or (
        _denied_module(f"{owner}.{node.attr}") if owner else ""
    )
    if not category and isinstance(node.value, ast.Attribute):
        # A library's own reference to a module, as in pandas.io.common.os.system.
        category = _denied_member(node.value.attr, node.attr)
    if not category and node.attr == "subprocess":
        category = "code.process"
    if category:
        name = f"{owner or 'a module'}.{node.attr}"
        yield Finding(category, node.lineno, f"uses {name}", denied=True)


def _dotted(node: ast.AST, aliases: dict[str, str]) -> str:
    """Return the dotted module path that an expression names, or nothing."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in aliases:
        return ""
    return ".".join([aliases[node.id], *reversed(parts)])


def _run_text(node: ast.Call) -> str | None:
    """Return the written-out text that a call of eval, exec or compile runs, if it is one."""
    if not (isinstance(node.func, ast.Name) and node.func.id in BUILT_STRING_CALLS and node.args):
        return None
    return _fold(node.args[0])


def _call(node: ast.Call, aliases: dict[str, str]) -> Iterator[Finding]:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    texts = [_fold(argument) for argument in node.args]
    if name in _ATTRIBUTE_CALLS and len(node.args) > 1:
        yield from _attribute_by_text(node, texts[1], aliases)
    elif name == "open" and texts:
        outside = texts[0] is not None and _OUTSIDE.search(texts[0]) is not None
        category = "code.file_reach" if outside else "code.files"
        what = "opens a file outside the working directory" if outside else "opens a file"
        yield Finding(category, node.lineno, what, denied=False)
    elif name == "range" and any(_number(argument) > _HUGE for argument in node.args):
        yield Finding("code.resource", node.lineno, "counts very far", denied=False)
    elif any(text is not None and _URL.match(text) for text in texts[:1]) and _reads(node.func):
        yield Finding("code.network", node.lineno, "reads from a URL", denied=True)


def _reads(function: ast.AST) -> bool:
    """Return whether a function is one of a library's readers, such as ``pandas.read_csv``."""
    return isinstance(function, ast.Attribute) and function.attr.startswith("read_")


def _attribute_by_text(
    node: ast.Call, name: str | None, aliases: dict[str, str]
) -> Iterator[Finding]:
    if name is None:
        built = not isinstance(node.args[1], ast.Name | ast.Attribute)
        what = "reaches an attribute by a name that is " + ("built" if built else "a variable")
        category = "code.dynamic" if built else "code.dynamic_attribute"
        yield Finding(category, node.lineno, what, denied=built)
    elif name in DENIED_ATTRIBUTES:
        yield Finding("code.dunder", node.lineno, f"reaches {name} by text", denied=True)
    else:
        category = _denied_member(_dotted(node.args[0], aliases), name)
        if category:
            yield Finding(category, node.lineno, f"reaches {name} by text", denied=True)


def _value(node: ast.Constant | ast.BinOp | ast.JoinedStr) -> Iterator[Finding]:
    text = _fold(node)
    if text is not None:
        fields = " ".join(_FORMAT_FIELD.findall(text))
        walked = "." in fields and not DENIED_ATTRIBUTES.isdisjoint(_WORD.findall(fields))
        named = text.startswith("__") and text in DENIED_ATTRIBUTES | DENIED_NAMES
        if walked or named:
            yield Finding("code.dunder", node.lineno, "spells dunder attributes", denied=True)
    elif isinstance(node, ast.BinOp):
        sizes = (_number(node.left), _number(node.right))
        literal = isinstance(node.left, ast.List | ast.Constant)
        if (isinstance(node.op, ast.Pow) and sizes[1] > _HUGE_POWER) or (
            isinstance(node.op, ast.Mult) and literal and max(sizes) > _HUGE
        ):
            yield Finding("code.resource", node.lineno, "makes a very large value", denied=False)


def _fold(node: ast.AST) -> str | None:
    """Return the text of a string that is written out, also in pieces; None for anything else."""
    pieces: list[str] = []
    waiting: list[ast.AST] = [node]
    size = 0
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            pieces.append(part.value)
            size += len(part.value)
        elif isinstance(part, ast.BinOp) and isinstance(part.op, ast.Add):
            waiting.extend((part.right, part.left))
        elif isinstance(part, ast.JoinedStr):
            waiting.extend(reversed(part.values))
        else:
            return None
        if size > _LONGEST_FOLD and len(pieces) > 1:
            return None
    return "".join(pieces)


def _number(node: ast.AST) -> int:
    """Return a whole number that is written out, or computed by one power of two such; else 0."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        base, power = _number_literal(node.left), _number_literal(node.right)
        return base ** min(power, _HUGE_POWER) if 0 < base <= _HUGE and power > 0 else 0
    return 0


def _number_literal(node: ast.AST) -> int:
    return node.value if isinstance(node, ast.Constant) and type(node.value) is int else 0


def _is_endless(node: ast.While) -> bool:
    always = isinstance(node.test, ast.Constant) and bool(node.test.value)
    ends = ast.Break | ast.Return | ast.Raise | ast.Yield | ast.YieldFrom
    return always and not any(isinstance(inner, ends) for inner in ast.walk(node))
