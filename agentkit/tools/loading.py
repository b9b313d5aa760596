"""Load a custom tool that a specification names as ``module:attribute``.

Only modules in the specification's own folder or already installed are found, and the attribute
must be a ``Tool`` (made by ``@tool``): nothing else is called or imported by name.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from importlib.machinery import SourceFileLoader
from types import ModuleType
from typing import TYPE_CHECKING

from agentkit.errors import ToolError
from agentkit.tools.declaration import Tool

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["load_tool"]


def load_tool(reference: str, folder: Path, *, name: str | None = None, place: str = "") -> Tool:
    """Return the tool at ``module:attribute``, looked up in ``folder`` first.

    ``name``: what the tool is called, by default what its declaration says.

    Raises ``ToolError`` (with ``place``) where the module or attribute is absent, fails to
    import, or is no ``Tool``.
    """
    module_name, _, attribute = reference.partition(":")
    if not module_name or not attribute:
        raise ToolError(
            f"{reference!r} names no function", cure="write module:attribute", place=place
        )
    module = _import(module_name, folder, place)
    found = getattr(module, attribute, None)
    if not isinstance(found, Tool):
        what = "is missing" if found is None else f"is a {type(found).__name__}, no tool"
        raise ToolError(
            f"{attribute!r} in module {module_name!r} {what}",
            cure="decorate the function with @tool(effect=...)",
            place=place,
        )
    return replace(found, name=name) if name else found


def _import(name: str, folder: Path, place: str) -> ModuleType:
    path = folder.joinpath(*name.split(".")).with_suffix(".py")
    try:
        # What a module prints is no result of the command that loads it.
        with redirect_stdout(sys.stderr):
            return _import_file(path) if path.is_file() else importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise _missing(name, folder, place, error) from error
    except (Exception, SystemExit) as error:  # whatever the user's module does is theirs to see
        raise ToolError(
            f"module {name!r} failed to import: {type(error).__name__}: {error}",
            cure="run it alone with python to see the traceback",
            place=place,
        ) from error


def _missing(name: str, folder: Path, place: str, error: ModuleNotFoundError) -> ToolError:
    """Return what to say of a module that is absent, or that needs one that is."""
    absent = error.name or str(error)
    if f"{name}.".startswith(f"{absent}."):
        return ToolError(
            f"module {name!r} is neither in {folder} nor installed ({error})",
            cure=f"put {name}.py beside the specification, or install it",
            place=place,
        )
    return ToolError(
        f"module {name!r} needs {absent!r}, which is not installed",
        cure=f"install {absent}",
        place=place,
    )


def _import_file(path: Path) -> ModuleType:
    # A name of its own for each file: two folders may hold modules of the same name, and none may
    # shadow a module of the standard library.
    name = f"{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    loader = SourceFileLoader(name, str(path))
    module = ModuleType(name)
    module.__file__ = str(path)
    # Registered before it runs, so that the module's own annotations resolve.
    sys.modules[name] = module
    loader.exec_module(module)
    return module
