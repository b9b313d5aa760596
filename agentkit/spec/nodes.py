"""A YAML file's content as a tree in which each key and value knows where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkit.messages import JsonValue

__all__ = ["Entry", "ListNode", "MappingNode", "Mark", "Node", "ScalarNode", "find"]


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the file: line and column, both 1-based."""

    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """One value. ``text``: as written, without quotes; ``value``: what it means."""

    mark: Mark
    text: str
    value: bool | int | float | str | None
    size: int = 1

    def plain(self) -> JsonValue:
        """Return the value."""
        return self.value


@dataclass(frozen=True, slots=True)
class ListNode:
    """A list. ``size``: how many values are in it, itself included, aliases written out."""

    mark: Mark
    items: tuple[Node, ...]
    size: int

    def plain(self) -> JsonValue:
        """Return the list as plain Python data."""
        return [item.plain() for item in self.items]


@dataclass(frozen=True, slots=True)
class MappingNode:
    """A mapping, its entries in the file's order."""

    mark: Mark
    entries: dict[str, Entry]
    size: int

    def plain(self) -> JsonValue:
        """Return the mapping as plain Python data."""
        return {key: entry.node.plain() for key, entry in self.entries.items()}


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping, where it stands, and its value."""

    mark: Mark
    node: Node


Node: TypeAlias = ScalarNode | ListNode | MappingNode


def find(root: Node, path: Sequence[str | int]) -> tuple[Mark, Node]:
    """Return where ``path`` stands (its key, or the item of a list) and its value.

    A path that leaves the tree gives the deepest part that is there.
    """
    mark, node = root.mark, root
    for step in path:
        if isinstance(node, MappingNode) and step in node.entries:
            entry = node.entries[str(step)]
            mark, node = entry.mark, entry.node
        elif isinstance(node, ListNode) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            mark = node.mark
        else:
            break
    return mark, node
