"""Build the guest at first use: Python to a component, the component to native code. Then cache.

No compiler is needed: componentize-py brings CPython as WebAssembly, wasmtime compiles it. Each of
the two steps takes 11-20 s and runs in a process of its own, so that both can be interrupted; a
finished step is kept. The key of an entry holds all that the result depends on: the guest's
sources, its packages' hashes, both tools' versions, the engine's configuration and the CPU's
features.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import structlog

from agentkit.cache import default_cache_directory
from agentkit.errors import SandboxError
from agentkit.progress import silent
from agentkit.sandbox.wasm.cache import OwnedCache
from agentkit.sandbox.wasm.packages import describe, lay_out

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentkit.progress import Progress
    from agentkit.sandbox.packages import LockedPackage
    from agentkit.sandbox.wasm.cache import CachedFile

__all__ = ["boot_command", "ensure_guest", "versions"]

_GUEST = Path(__file__).parent / "guest"
_SHARED = tuple(
    Path(__file__).parent.parent / name for name in ("bindings.py", "cell.py", "display.py")
)
_WITH_PACKAGES = _GUEST / "packages" / "with_packages.py"
_OTHER_MODULES = ("chosen", "poll_loop", "wit_world")  # of the build, and of componentize-py
_FETCH = "fetch the packages of the wasm guest"
_STAGES = ("build the wasm guest", "compile it for this machine")
_INSTALL = "pip install 'agentkit-gated[wasm]'"
_PYTHON_ERROR = re.compile(r"[A-Za-z_.]+(Error|Exception|Exit): ")
_log = structlog.get_logger(__name__)

# -I drops PYTHONPATH and the current directory, so the worker is told where the two packages are.
_BOOT = "import sys; sys.path[:0] = sys.argv[1:3]; from {module} import {name} as f; f({arguments})"


def boot_command(module: str, name: str, *arguments: str) -> list[str]:
    """Return the command that calls ``module.name(*arguments)`` in an isolated interpreter."""
    import wasmtime  # noqa: PLC0415  wasmtime stays optional

    package_root = str(Path(__file__).parents[3])
    wasmtime_root = str(Path(wasmtime.__file__).parents[1])
    code = _BOOT.format(module=module, name=name, arguments="*sys.argv[3:]")
    return [sys.executable, "-I", "-c", code, package_root, wasmtime_root, *arguments]


def versions() -> dict[str, str]:
    """Return the versions of both tools. Raises ``SandboxError`` where one is missing."""
    found = {}
    for package in ("wasmtime", "componentize-py"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError as error:
            raise SandboxError(
                f"the wasm sandbox needs {package}, which is not installed", cure=_INSTALL
            ) from error
    return found


async def ensure_guest(
    directory: Path | None = None,
    progress: Progress = silent,
    packages: Sequence[LockedPackage] = (),
) -> CachedFile:
    """Return the compiled guest, built and cached where it is not there yet.

    ``directory``: where to cache, by default the user's cache. ``packages``: what it holds besides
    the standard library, as ``PackageLock.select_pure`` gives them. Raises ``SandboxError``.
    """
    folder = directory or default_cache_directory()
    cache = OwnedCache(folder / "wasm")
    component_key, native_key = await anyio.to_thread.run_sync(_keys, packages)
    found = await anyio.to_thread.run_sync(cache.find, native_key, "guest.cwasm")
    if found:
        return found
    async with cache.locked():
        found = await anyio.to_thread.run_sync(cache.find, native_key, "guest.cwasm")
        if found is None:
            recipe = _Recipe(component_key, native_key, packages, folder / "wheelhouse")
            await _build(cache, recipe, progress)
            found = await anyio.to_thread.run_sync(cache.find, native_key, "guest.cwasm")
    if found is None:
        raise SandboxError(
            "the compiled guest was rejected right after it was built",
            place=str(cache.directory),
            cure="use a local directory with owners and modes: set AGENTKIT_CACHE",
        )
    return found


@dataclass(frozen=True, slots=True)
class _Recipe:
    """One guest to build. ``wheelhouse``: where the wheels of its packages are kept."""

    component_key: str
    native_key: str
    packages: Sequence[LockedPackage]
    wheelhouse: Path


async def _build(cache: OwnedCache, recipe: _Recipe, progress: Progress) -> None:
    total = len(_STAGES)
    with tempfile.TemporaryDirectory(prefix="agentkit-guest-") as name:
        work = Path(name)
        wasm = await anyio.to_thread.run_sync(cache.find, recipe.component_key, "guest.wasm")
        if wasm is None:
            progress(_STAGES[0], 0, total)
            _log.info("sandbox_guest_build", stage=_STAGES[0])
            data = await _componentize(work, recipe)
            cache.store(recipe.component_key, {"guest.wasm": data})
        else:
            data = await anyio.Path(wasm.path).read_bytes()
            if hashlib.sha256(data).hexdigest() != wasm.sha256:
                raise SandboxError(
                    "the guest changed while it was read", place=str(wasm.path), cure="try again"
                )
        progress(_STAGES[1], 1, total)
        _log.info("sandbox_guest_build", stage=_STAGES[1])
        native = await _compile(work, data)
        cache.store(recipe.native_key, {"guest.cwasm": native})
        progress(_STAGES[1], total, total)


async def _componentize(work: Path, recipe: _Recipe) -> bytes:
    sources = work / "sources"
    shutil.copytree(_GUEST, sources, ignore=shutil.ignore_patterns("__pycache__", "packages"))
    for path in _SHARED:
        shutil.copy(path, sources / path.name)
    application, paths, environment = "app", ["-p", str(sources)], None
    if recipe.packages:
        site = await anyio.to_thread.run_sync(_add_packages, work, sources, recipe)
        application, paths = _WITH_PACKAGES.stem, [*paths, "-p", str(site)]
        environment = _no_site_packages(work)
    script = (
        "import sys; from componentize_py import script; sys.argv[0] = 'componentize-py'; script()"
    )
    output = work / "guest.wasm"
    arguments = ["-q", "-d", str(sources / "world.wit"), "-w", "runner"]
    arguments += ["componentize", application, *paths, "-o", str(output)]
    await _step(_STAGES[0], [sys.executable, "-c", script, *arguments], environment)
    return output.read_bytes()


def _add_packages(work: Path, sources: Path, recipe: _Recipe) -> Path:
    """Put the packages beside the guest's ``sources``; return their folder."""
    site = work / "packages"
    site.mkdir()
    taken = [*(path.stem for path in sources.glob("*.py")), _WITH_PACKAGES.stem, *_OTHER_MODULES]
    _log.info("sandbox_guest_build", stage=_FETCH)
    chosen = lay_out(recipe.packages, recipe.wheelhouse, site, taken)
    shutil.copy(_WITH_PACKAGES, sources / _WITH_PACKAGES.name)
    (sources / "chosen.py").write_text(chosen, encoding="utf-8")
    return site


def _no_site_packages(work: Path) -> dict[str, str]:
    """Return an environment in which componentize-py finds no packages of this machine.

    It would add them to the guest's path and open them to what packages do at their import.
    """
    empty = work / "environment"
    (empty / "lib" / "python3" / "site-packages").mkdir(parents=True)
    return {**os.environ, "VIRTUAL_ENV": str(empty)}


async def _compile(work: Path, wasm: bytes) -> bytes:
    source, output = work / "input.wasm", work / "guest.cwasm"
    source.write_bytes(wasm)
    await _step(_STAGES[1], boot_command(__name__, "compile_file", str(source), str(output)))
    return output.read_bytes()


def compile_file(source: str, output: str) -> None:
    """Compile the component ``source`` into ``output``; the body of the second step's process."""
    from agentkit.sandbox.wasm.engine import compile_component  # noqa: PLC0415  wasmtime optional

    Path(output).write_bytes(compile_component(Path(source).read_bytes()))


async def _step(
    stage: str, command: list[str], environment: Mapping[str, str] | None = None
) -> None:
    done = await anyio.run_process(command, check=False, stderr=subprocess.STDOUT, env=environment)
    if done.returncode != 0:
        lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
        # Below Python's own error the tool prints where in its code it met it.
        raised = next((line for line in reversed(lines) if _PYTHON_ERROR.match(line)), None)
        last = raised or (lines[-1] if lines else f"exit status {done.returncode}")
        raise SandboxError(
            f"could not {stage}: {last}",
            cure="leave the package out, or use the docker tier"
            if raised and "cannot be imported in the guest" in raised
            else f"check the tools with: {_INSTALL}",
        )


def _keys(packages: Sequence[LockedPackage] = ()) -> tuple[str, str]:
    """Return the cache keys of the component and of its native code."""
    found = versions()
    from agentkit.sandbox.wasm.engine import ENGINE_CONFIG  # noqa: PLC0415  wasmtime is optional

    sources = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted([*_GUEST.glob("*.py"), *_GUEST.glob("*.wit"), *_SHARED])
    }
    component: dict[str, object] = {
        "sources": sources,
        "componentize-py": found["componentize-py"],
    }
    if packages:
        component["packages"] = describe(packages)
        component["entry"] = hashlib.sha256(_WITH_PACKAGES.read_bytes()).hexdigest()
    native = {
        **component,
        "wasmtime": found["wasmtime"],
        "engine": ENGINE_CONFIG,
        "machine": [platform.system(), platform.machine(), _cpu_features()],
    }
    return _digest("component", component), _digest("native", native)


def _digest(kind: str, content: object) -> str:
    text = json.dumps(content, sort_keys=True)
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _cpu_features() -> str:
    """Return what tells one CPU's instruction set from another's."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = ("flags", "Features", "isa")
    return next((line for line in lines if line.startswith(names)), platform.processor())
