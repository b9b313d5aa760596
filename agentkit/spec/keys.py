"""Which keys each section has, and which one the writer of an unknown key had in mind."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, get_args

from agentkit.spec.model import EmbeddedModel, LocalModel, RemoteModel
from agentkit.spec.nodes import Node, ScalarNode, find
from agentkit.spec.problems import quoted
from agentkit.spec.section import Section
from agentkit.spec.suggest import closest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["MODEL_SOURCES", "suggest_key"]

MODEL_SOURCES: Mapping[str, type[Section]] = MappingProxyType(
    {"embedded": EmbeddedModel, "local": LocalModel, "remote": RemoteModel}
)

_ANY_NAME = "<name>"
_NAMED = frozenset({("tools",), ("policies", "rules", "when", "arguments")})
"""Mappings whose keys are names of the writer's own."""


def suggest_key(path: tuple[str | int, ...], root: Node, schema: type[Section]) -> tuple[str, str]:
    """Return message and fix for the unknown key at ``path``.

    ``root`` is the tree of the file, ``schema`` what the whole file should be.
    """
    key = str(path[-1])
    message = f"unknown key {quoted(key)}"
    if len(path) > 1:
        message += f" in {'.'.join(map(str, path[:-1]))}"
    at: tuple[str, ...] = ()
    for step in path[:-1]:
        if not isinstance(step, int):  # the items of a list are one section
            at = (*at, _ANY_NAME if at in _NAMED else step)
    known = _known_keys(at, root, schema)
    if near := closest(key, known):
        return message, f'did you mean "{near}"?'
    if at == ("model",):
        owners = [name for name, model in MODEL_SOURCES.items() if key in model.model_fields]
        if owners:
            return message, f"it belongs to source: {' or '.join(owners)}"
    elsewhere = {
        ".".join((*there, key)) for there, other in _sections(schema) if key in other.model_fields
    }
    if elsewhere:
        return message, f"it belongs at {' or '.join(sorted(elsewhere))}"
    return message, f"remove it; known here: {', '.join(known)}"


def _known_keys(at: tuple[str, ...], root: Node, schema: type[Section]) -> list[str]:
    sections = [section for there, section in _sections(schema) if there == at]
    if at == ("model",):
        _, source = find(root, ("model", "source"))
        name = source.text if isinstance(source, ScalarNode) else ""
        sections = [MODEL_SOURCES[name]] if name in MODEL_SOURCES else sections
    return [key for section in sections for key in section.model_fields]


def _sections(
    section: type[Section], at: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], type[Section]]]:
    """Yield each section of the format with its path; ``model`` has one for each source."""
    yield at, section
    for name, described in section.model_fields.items():
        below = (*at, name, _ANY_NAME) if (*at, name) in _NAMED else (*at, name)
        for inner in _sections_in(described.annotation):
            yield from _sections(inner, below)


def _sections_in(annotation: object) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections_in(argument)
