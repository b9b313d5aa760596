"""Which attributes a policy reads, so that values nobody asks for need not fit into Cedar."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EVERYTHING", "mentions"]

EVERYTHING = "*"
"""Among the names of a policy that takes the arguments as a whole."""


def mentions(node: object) -> frozenset[str]:
    """Return the attribute names under a node of cedarpy's; more than are read, never fewer."""
    names: set[str] = set()
    whole, parts = 0, 0
    for found in _walk(node):
        kind = type(found).__name__
        if kind == "GetAttr":
            names.add(found.attr)
            whole += found.attr == "arguments"
        elif kind == "HasAttr":
            names.update(found.attrs)
        if kind in {"GetAttr", "HasAttr"} and getattr(found.base, "attr", "") == "arguments":
            parts += 1
    return frozenset(names | {EVERYTHING}) if whole > parts else frozenset(names)


def _walk(node: object) -> Iterator[Any]:
    if is_dataclass(node):
        yield node
        for described in fields(node):
            yield from _walk(getattr(node, described.name))
    elif isinstance(node, tuple | list | frozenset):
        for one in node:
            yield from _walk(one)
    elif isinstance(node, dict):
        for one in node.values():
            yield from _walk(one)
