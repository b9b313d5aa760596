"""Lay out the packages of a guest: wheels of pure Python, from the lock, in a folder to read.

What is covered: only wheels with the lock's hashes are unpacked; none may bring compiled code, a
world of its own for the component, or a module that stands in for the guest's or the standard
library's. A package's code runs at its import, which is in WebAssembly and at build time, with
the build's temporary folder and nothing else of this machine.
What is not covered: what a package does inside of the guest, which is what code there can do too.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from agentkit.errors import SandboxError
from agentkit.sandbox.packages_pip import ANY_MACHINE, Target, download, unpack

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from agentkit.sandbox.packages import LockedPackage

__all__ = ["describe", "lay_out"]

_TARGET = Target("3.14", ANY_MACHINE)
"""The Python of componentize-py's guest."""
_COMPILED = frozenset({".so", ".pyd", ".dylib", ".dll", ".a", ".wasm"})
_SKIPPED = frozenset({"test", "tests", "testing", "conftest", "__main__"})
_CURE = "leave the package out, or use the docker tier"


def describe(packages: Sequence[LockedPackage]) -> list[str]:
    """Return what the guest's identity says of them: name, version and hashes of each."""
    return [one.requirement for one in packages]


def lay_out(
    packages: Sequence[LockedPackage], wheelhouse: Path, site: Path, taken: Collection[str]
) -> str:
    """Unpack ``packages`` into ``site``; return the source of the guest's module ``chosen``.

    ``wheelhouse``: where wheels are kept. ``taken``: names of modules that are the guest's own.
    Blocks: pip asks an index for what the wheelhouse does not have. Raises ``SandboxError``.
    """
    requirements = [one.requirement for one in packages]
    download(requirements, _TARGET, wheelhouse)
    unpack(requirements, _TARGET, wheelhouse, site)
    _check_files(site)
    modules = list(_modules(site))
    needed = sorted({name.partition(".")[0] for name in modules})
    reserved = sorted(set(needed) & {*taken, *sys.stdlib_module_names})
    if reserved:
        raise SandboxError(
            f"a package brings a module {reserved[0]!r}, which the guest has already", cure=_CURE
        )
    names = [f"{one.name} {one.version}" for one in packages]
    return f"PACKAGES = {names!r}\nNEEDED = {needed!r}\nMODULES = {modules!r}\n"


def _check_files(site: Path) -> None:
    for path in site.rglob("*"):
        # The builder would read such a file and widen what the component imports.
        if path.suffix in _COMPILED or path.name == "componentize-py.toml" or path.is_symlink():
            raise SandboxError(
                f"a package is not of pure Python: it holds {path.relative_to(site)}", cure=_CURE
            )


def _modules(site: Path) -> Iterator[str]:
    """Yield the names of all modules that code may import, a package before what is in it."""
    found: Iterable[tuple[str, ...]] = sorted(
        path.relative_to(site).with_suffix("").parts for path in site.rglob("*.py")
    )
    for parts in found:
        inner = parts[:-1] if parts[-1] == "__init__" else parts
        if not inner or (parts[0] == "bin" and len(parts) > 1):  # where pip puts scripts
            continue
        if all(map(str.isidentifier, inner)) and _SKIPPED.isdisjoint(inner):
            yield ".".join(inner)
