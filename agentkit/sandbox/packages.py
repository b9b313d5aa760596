"""Which packages a sandbox may hold: a lock of names, versions and hashes, and nothing else.

The lock is a JSON file; the one beside this module is used where no other is given. ``allow`` adds
a package and all it needs, as pip resolves them from wheels alone: no package's code runs here.
What is covered: a wheel that is not in the lock, or whose content changed, is never installed.
What is not covered: what the code of an allowed package does; it runs behind the same walls as the
code that imports it, and where a container preloads it, in that container's process 1.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from agentkit.errors import SandboxError
from agentkit.sandbox.packages_pip import Target, resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["BUNDLED_LOCK", "LockedPackage", "PackageLock"]

BUNDLED_LOCK = Path(__file__).parent / "packages.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """One allowed package. ``wheels``: file name → sha256, of every platform it is allowed for."""

    name: str
    version: str
    requires: tuple[str, ...]
    wheels: Mapping[str, str]

    @property
    def requirement(self) -> str:
        """Return it as a line of pip's requirements file, with each hash that may be installed."""
        hashes = " ".join(f"--hash=sha256:{digest}" for digest in sorted(self.wheels.values()))
        return f"{self.name}=={self.version} {hashes}"

    @property
    def pure_wheels(self) -> Mapping[str, str]:
        """Return those of its wheels that hold Python alone, for any machine: ``py3-none-any``."""
        return {file: digest for file, digest in self.wheels.items() if _is_pure(file)}


@dataclass(frozen=True, slots=True)
class PackageLock:
    """The allowlist: name → package. Names are normalised as packages' names are (PEP 503)."""

    packages: Mapping[str, LockedPackage] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path = BUNDLED_LOCK) -> PackageLock:
        """Read a lock. Raises ``SandboxError`` with the file's name where it is none."""
        try:
            listed = json.loads(path.read_text(encoding="utf-8"))["packages"]
            packages = {_normal(name): _locked(_normal(name), one) for name, one in listed.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SandboxError(
                f"this is no lock of packages: {type(error).__name__}: {error}",
                place=str(path),
                cure="write it with: agentkit sandbox packages allow NAME --lock FILE",
            ) from error
        return cls(packages)

    def save(self, path: Path) -> None:
        """Write the lock, one package an entry, sorted."""
        listed = {
            name: {
                "version": one.version,
                "requires": list(one.requires),
                "wheels": dict(sorted(one.wheels.items())),
            }
            for name, one in sorted(self.packages.items())
        }
        path.write_text(json.dumps({"packages": listed}, indent=1) + "\n", encoding="utf-8")

    def select(self, names: Iterable[str]) -> tuple[LockedPackage, ...]:
        """Return the named packages and all they need, by name. Raises ``SandboxError``."""
        pending, chosen = [_normal(name) for name in names], dict[str, LockedPackage]()
        while pending:
            name = pending.pop()
            if name in chosen:
                continue
            if name not in self.packages:
                raise SandboxError(
                    f"the package {name!r} is not on the allowlist",
                    cure=f"allow it: agentkit sandbox packages allow {name} --lock FILE; "
                    f"allowed are {', '.join(sorted(self.packages)) or 'none'}",
                )
            chosen[name] = self.packages[name]
            pending.extend(chosen[name].requires)
        return tuple(chosen[name] for name in sorted(chosen))

    def select_pure(self, names: Iterable[str]) -> tuple[LockedPackage, ...]:
        """Return what ``select`` returns, with the wheels of pure Python alone, for the wasm tier.

        Raises ``SandboxError`` where one of them has none.
        """
        wanted = tuple(names)
        for name in wanted:
            for one in self.select([name]):
                if not one.pure_wheels:
                    which = "it" if one.name == _normal(name) else one.name
                    raise SandboxError(
                        f"the wasm tier cannot hold {name!r}: {which} is not pure Python",
                        cure="leave it out, or use the docker tier, which runs compiled packages",
                    )
        return tuple(replace(one, wheels=one.pure_wheels) for one in self.select(wanted))

    def allow(self, names: Iterable[str], targets: Iterable[Target]) -> PackageLock:
        """Return a lock with these packages too (``NAME`` or ``NAME==VERSION``), for ``targets``.

        What is locked already stays at its version. Asks pip's index. Raises ``SandboxError``.
        """
        wanted = list(names)
        packages = dict(self.packages)
        for target in targets:
            pinned = [f"{one.name}=={one.version}" for one in packages.values()]
            for found in resolve(wanted, pinned, target):
                known = packages.get(_normal(found.name))
                wheels = {**(known.wheels if known else {}), found.wheel: found.sha256}
                requires = {_normal(name) for name in found.requires}
                packages[_normal(found.name)] = LockedPackage(
                    _normal(found.name),
                    found.version,
                    tuple(sorted(requires | set(known.requires if known else ()))),
                    MappingProxyType(wheels),
                )
        return PackageLock(MappingProxyType(packages))


def _is_pure(wheel: str) -> bool:
    pythons, *rest = wheel.removesuffix(".whl").rsplit("-", 3)[1:] or [""]
    return rest == ["none", "any"] and "py3" in pythons.split(".")


def _locked(name: str, listed: dict[str, Any]) -> LockedPackage:
    wheels = {str(file): str(digest) for file, digest in listed["wheels"].items()}
    if not wheels or not all(_SHA256.fullmatch(digest) for digest in wheels.values()):
        raise ValueError(f"{name} has no sha256 of its wheels")
    version = str(listed["version"])
    if re.search(r"\s|[;@]", version):
        raise ValueError(f"{name} has no version but {version!r}")
    return LockedPackage(
        name,
        version,
        tuple(_normal(str(one)) for one in listed["requires"]),
        MappingProxyType(wheels),
    )


def _normal(name: str) -> str:
    bare = name.strip()
    if not _NAME.fullmatch(bare):
        raise SandboxError(
            f"{name!r} is no name of a package", cure="use letters, digits, dots and dashes"
        )
    return re.sub(r"[-_.]+", "-", bare).lower()
