"""Load an agent.yaml: read, parse, check, resolve secrets; everything wrong is said at once."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from agentkit.spec.compose import parse
from agentkit.spec.nodes import MappingNode, Node, find
from agentkit.spec.problems import Problem, SpecProblems
from agentkit.spec.reading import decode, read_bytes
from agentkit.spec.schema import AgentSpec
from agentkit.spec.secret import Environment
from agentkit.spec.section import Section
from agentkit.spec.wording import explain

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LoadedSpec", "load_section", "load_spec"]

_Whole = TypeVar("_Whole", bound=Section)


@dataclass(frozen=True, slots=True)
class LoadedSpec:
    """A checked agent.yaml.

    ``sha256``: hex digest of the file's bytes as they were read. ``secrets``: names of the
    environment variables that were used, sorted; never their values.
    """

    spec: AgentSpec
    path: Path
    sha256: str
    secrets: tuple[str, ...]
    _root: Node = field(repr=False, compare=False)

    def place(self, *keys: str | int) -> str:
        """Return ``file:line:column`` of a key, or of the nearest key above it that is written.

        For later errors that rest on the file: ``place("deployment", "principal", "country")``.
        """
        mark, _ = find(self._root, keys)
        return f"{self.path}:{mark.line}:{mark.column}"

    def resolve(self, path: str) -> Path:
        """Return a path of the file as an absolute one; relative ones begin at its folder."""
        target = Path(path)
        if target.parts[:1] == ("~",):
            target = Path.home().joinpath(*target.parts[1:])
        return (self.path.parent / target).absolute()


def load_spec(
    path: str | os.PathLike[str], *, environ: Mapping[str, str] = os.environ
) -> LoadedSpec:
    """Return the checked specification in the file at ``path``.

    ``environ``: where ``${NAME}`` references are looked up. Raises SpecError, which for problems
    inside the file is a SpecProblems that holds all of them, each with its place and fix.
    """
    environment = Environment(environ)
    spec, root, content = load_section(path, AgentSpec, environment)
    digest = hashlib.sha256(content).hexdigest()
    return LoadedSpec(spec, Path(path), digest, tuple(sorted(environment.used)), root)


def load_section(
    path: str | os.PathLike[str], schema: type[_Whole], environment: Environment
) -> tuple[_Whole, Node, bytes]:
    """Return what a file of ``schema`` says, its tree, and its bytes. Raises as ``load_spec``."""
    content = read_bytes(Path(path))
    name = str(path)
    root, problems = parse(decode(content, name), name)
    if not isinstance(root, MappingNode):
        fix = "begin with version: 1, or start from `agentkit init`"
        wrong = Problem(
            root.mark.line, root.mark.column, "", "the file must be a mapping of keys", fix
        )
        raise SpecProblems(name, [*problems, wrong])
    try:
        found = schema.model_validate(root.plain(), context=environment)
    except ValidationError as invalid:
        for error in invalid.errors(include_url=False, include_input=False):
            problems.extend(explain(error, root, schema))
        raise SpecProblems(name, problems) from None
    if problems:
        raise SpecProblems(name, problems)
    return found, root, content
