"""The files that `agentkit init` begins with: commented, valid, ready to run or to change."""

from __future__ import annotations

from importlib import resources
from types import MappingProxyType

from agentkit.errors import SpecError

__all__ = ["read_template", "template_names"]

# template → the file the user gets → the file of this package that holds its content
_FILES = MappingProxyType(
    {
        "analyst": {"agent.yaml": "analyst.yaml"},
        "remote": {"agent.yaml": "remote.yaml"},
        "text-tools": {"agent.yaml": "text_tools.yaml", "text_tools.py": "text_tools.py"},
    }
)


def template_names() -> tuple[str, ...]:
    """Return the names of the templates; the first is the one to begin with."""
    return tuple(_FILES)


def read_template(name: str) -> dict[str, str]:
    """Return a template's files: file name → content. SpecError where there is none such."""
    if name not in _FILES:
        raise SpecError(
            f'there is no template "{name[:80]}"', cure=f"choose one of {', '.join(_FILES)}"
        )
    folder = resources.files(__name__)
    return {
        file: (folder / source).read_text(encoding="utf-8") for file, source in _FILES[name].items()
    }
