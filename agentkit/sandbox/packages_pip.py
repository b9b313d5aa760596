"""Ask pip, the index's ordinary client, in a process of its own: resolve, and unpack wheels.

What is covered: wheels only, never a source package, so that nothing of a package runs on this
machine; ``--require-hashes`` for what is unpacked. What is not covered: the index itself; which
one is asked is pip's configuration.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentkit.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["ANY_MACHINE", "Found", "Target", "download", "resolve", "unpack"]

ANY_MACHINE = "any"
"""The machine of wheels that hold no compiled code; what the wasm tier takes."""
_TIMEOUT_S = 600
_GLIBC_MINORS = (17, 24, 27, 28, 31, 34, 35, 36)
"""The glibc 2.x of manylinux wheels; Debian 12, the oldest base, has 2.36."""
_UNREACHABLE = ("Failed to establish", "NewConnectionError", "Could not fetch URL", "timed out",
                "Max retries", "Name or service not known", "ProxyError", "SSLError")  # fmt: skip
_REQUIRED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Target:
    """What a wheel must fit: ``python`` such as ``3.11``, ``machine`` such as ``x86_64``.

    With ``ANY_MACHINE``, wheels of pure Python alone fit.
    """

    python: str
    machine: str

    def options(self) -> list[str]:
        """Return pip's options that choose wheels for this target."""
        platforms = [f"manylinux_2_{minor}_{self.machine}" for minor in _GLIBC_MINORS]
        platforms.append(f"manylinux2014_{self.machine}")
        if self.machine == ANY_MACHINE:
            platforms = [ANY_MACHINE]
        chosen = [f"--platform={platform}" for platform in platforms]
        return ["--only-binary=:all:", f"--python-version={self.python}", *chosen]


@dataclass(frozen=True, slots=True)
class Found:
    """A wheel that pip chose. ``requires``: the names among the same choice that it needs."""

    name: str
    version: str
    wheel: str
    sha256: str
    requires: tuple[str, ...]


def resolve(wanted: Sequence[str], pinned: Iterable[str], target: Target) -> list[Found]:
    """Return what pip would install for ``wanted`` under the constraints ``pinned``."""
    for name in wanted:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*(==[A-Za-z0-9.!+]+)?", name):
            raise SandboxError(f"{name!r} is no package", cure="say NAME or NAME==VERSION")
    with tempfile.TemporaryDirectory(prefix="agentkit-pip-") as folder:
        report, constraints = Path(folder) / "report.json", Path(folder) / "constraints.txt"
        constraints.write_text("\n".join(pinned) + "\n", encoding="utf-8")
        _pip(
            ["install", "--dry-run", "--ignore-installed", f"--report={report}"],
            [f"--constraint={constraints}", f"--target={folder}/none", *target.options(), *wanted],
            f"no wheels of {', '.join(wanted)} for Python {target.python} on {target.machine}",
        )
        chosen = json.loads(report.read_text(encoding="utf-8"))["install"]
    names = {_plain(str(one["metadata"]["name"])) for one in chosen}
    return [_found(one, names) for one in chosen]


def download(requirements: Iterable[str], target: Target, into: Path) -> None:
    """Fetch the wheels of hash-locked ``requirements`` into ``into``; those there are kept."""
    into.mkdir(parents=True, exist_ok=True, mode=0o700)
    _with_requirements(
        requirements,
        ["download", f"--dest={into}", f"--find-links={into}", *target.options()],
        "the allowed wheels cannot be fetched",
    )


def unpack(requirements: Iterable[str], target: Target, wheelhouse: Path, into: Path) -> None:
    """Unpack the wheels of ``requirements`` from ``wheelhouse``, without an index."""
    _with_requirements(
        requirements,
        ["install", "--no-index", f"--find-links={wheelhouse}", f"--target={into}",
         "--no-compile", "--no-warn-script-location", *target.options()],
        "the allowed wheels cannot be unpacked",
    )  # fmt: skip


def _with_requirements(requirements: Iterable[str], options: list[str], failure: str) -> None:
    with tempfile.TemporaryDirectory(prefix="agentkit-pip-") as folder:
        listed = Path(folder) / "requirements.txt"
        listed.write_text("\n".join(requirements) + "\n", encoding="utf-8")
        _pip(options, ["--no-deps", "--require-hashes", f"--requirement={listed}"], failure)


def _pip(command: list[str], options: list[str], failure: str) -> None:
    line = [sys.executable, "-m", "pip", command[0], "--disable-pip-version-check",
            "--no-input", "--progress-bar=off", *command[1:], *options]  # fmt: skip
    try:
        done = subprocess.run(  # noqa: S603  names and versions were checked, the rest is ours
            line, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxError(f"{failure}: {error}", cure="try again with a nearer index") from error
    if done.returncode != 0:
        raise _failed(failure, done.stdout + done.stderr)


def _failed(failure: str, told: str) -> SandboxError:
    errors = [line for line in told.splitlines() if line.startswith("ERROR:")] or [told.strip()]
    reason = errors[-1].removeprefix("ERROR:").strip()[:400]
    if "No module named pip" in told:
        return SandboxError(f"{failure}: pip is not installed", cure="python -m ensurepip")
    # pip removes a kept wheel of another hash, and fails later where no index has the right one
    if "DO NOT MATCH THE HASHES" in told.upper() or "has bad hash" in told:
        return SandboxError(
            f"{failure}: a wheel is not what the lock says",
            cure="take it as an attack until shown otherwise; then lock the package again",
        )
    if any(sign in told for sign in _UNREACHABLE):
        return SandboxError(
            f"{failure}: pip reaches no package index",
            cure="set pip's index (pip config set global.index-url URL), or put the wheels into "
            "the wheelhouse of agentkit's cache directory",
        )
    return SandboxError(
        f"{failure}: {reason}",
        cure="allow a version that has such wheels: agentkit sandbox packages allow NAME==VERSION "
        "--python X.Y --lock FILE",
    )


def _found(chosen: dict[str, Any], names: set[str]) -> Found:
    told, source = chosen["metadata"], chosen["download_info"]
    requires = [
        _plain(match.group())
        for line in told.get("requires_dist", ())
        if "extra ==" not in line and (match := _REQUIRED.match(line))
    ]
    return Found(
        str(told["name"]),
        str(told["version"]),
        str(source["url"]).rpartition("/")[2],
        str(source["archive_info"]["hashes"]["sha256"]),
        tuple(name for name in requires if name in names),
    )


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
