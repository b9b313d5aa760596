"""What this machine has and lacks: one ``Part`` for each thing that some agent needs.

Nothing is built, downloaded, started or left behind by looking.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from agentkit.cache import default_cache_directory
from agentkit.errors import SandboxError
from agentkit.model.embedded.identity import EMBEDDED_CHECKPOINT
from agentkit.model.kernels.build import library_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentkit.messages import JsonObject

__all__ = ["Part", "State", "inspect_machine", "missing_for_demo"]

_LEAST_PYTHON = (3, 11)
_LOCAL = "pip install 'agentkit-gated[local]'"
_WASM = "pip install 'agentkit-gated[wasm]'"
_NEEDED_GB = 2.0  # the wheel, the checkpoint in fp32 and the compiled guest, with room to build


class State(StrEnum):
    """Whether a part is there. ``later``: made at first use. ``optional``: absent, not needed."""

    OK = "ok"
    LATER = "later"
    OPTIONAL = "optional"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Part:
    """One thing. ``meaning``: what was found, or what lacks without it; ``cure``: what to do."""

    name: str
    state: State
    meaning: str
    cure: str = ""

    def to_json(self) -> JsonObject:
        """Return the part for a program."""
        return {
            "check": self.name,
            "state": self.state.value,
            "meaning": self.meaning,
            "cure": self.cure,
        }


def inspect_machine() -> tuple[Part, ...]:
    """Look at everything; reaching a Docker engine takes at most some seconds."""
    cache = default_cache_directory()
    return (
        _python(),
        *_packages(),
        _guest(cache),
        _model(cache),
        _cache_folder(cache),
        _disk(cache),
        *_docker(),
        _kernel(),
        Part("compiler", State.OK, "none is needed"),
    )


def missing_for_demo(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Return the parts without which ``agentkit demo`` cannot run."""
    return tuple(part for part in parts if part.state is State.MISSING)


def _python() -> Part:
    version = platform.python_version()
    if sys.version_info >= _LEAST_PYTHON:
        return Part("Python", State.OK, f"{version} on {platform.system()} {platform.machine()}")
    return Part("Python", State.MISSING, f"{version} is too old", "install Python 3.11 or newer")


def _packages() -> Iterator[Part]:
    for package, needed_for, cure in (
        ("torch", "models in this process", _LOCAL),
        ("transformers", "models in this process", _LOCAL),
        ("llguidance", "constrained decoding", _LOCAL),
        ("wasmtime", "the wasm sandbox", _WASM),
        ("componentize-py", "building the wasm guest", _WASM),
    ):
        try:
            yield Part(package, State.OK, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            yield Part(package, State.MISSING, f"needed for {needed_for}", cure)


def _kernel() -> Part:
    """Look for the compiled expert kernel; without it int8 and int4 run in plain torch."""
    if library_path().exists():
        return Part("expert kernel", State.OK, "built: bf16, int8 and int4 experts run on it")
    return Part(
        "expert kernel",
        State.OPTIONAL,
        "not built: experts of every format run in plain torch, correct and slower",
        "with a C++ compiler: python -m agentkit.model.kernels",
    )


def _guest(cache: Path) -> Part:
    folder = cache / "wasm"
    if _is_seen(folder) and any(folder.glob("native-*")):
        return Part("wasm guest", State.OK, f"built, in {folder}")
    return Part("wasm guest", State.LATER, "built at first use, in about a minute")


def _model(cache: Path) -> Part:
    if _is_seen(cache / EMBEDDED_CHECKPOINT / "manifest.json"):
        return Part("embedded model", State.OK, f"built, in {cache}")
    return Part("embedded model", State.LATER, "fetched (93 MB) and built at first use")


def _cache_folder(cache: Path) -> Part:
    """Try what rights alone do not tell: a file is made and gone again."""
    there = _existing(cache)
    try:
        with tempfile.TemporaryFile(dir=there):
            return Part("cache folder", State.OK, f"{cache} can be written")
    except OSError as error:
        return Part(
            "cache folder",
            State.MISSING,
            f"{there} cannot be written: {error.strerror}",
            "let this user write there, or set AGENTKIT_CACHE to another folder",
        )


def _existing(cache: Path) -> Path:
    """Return the cache folder, or what there is of the way to it."""
    return next(way for way in (cache, *cache.absolute().parents) if _is_seen(way))


def _is_seen(path: Path) -> bool:
    # Path.exists raises where a folder on the way is closed to this user.
    return os.path.exists(path)  # noqa: PTH110 - see above


def _disk(cache: Path) -> Part:
    there = _existing(cache)
    free = shutil.disk_usage(there).free / 1e9
    if free >= _NEEDED_GB:
        return Part("disk space", State.OK, f"{free:.0f} GB free for {cache}")
    return Part(
        "disk space",
        State.MISSING,
        f"{free:.1f} GB free for {cache}, {_NEEDED_GB:.0f} GB are needed",
        "free some, or set AGENTKIT_CACHE to a folder on another disk",
    )


def _docker() -> Iterator[Part]:
    """Yield engine and image; the docker tier is needed only where a file names it."""
    from agentkit.sandbox.docker.engine import connect  # noqa: PLC0415 - docker stays optional

    try:
        client = connect()
    except SandboxError as error:
        yield Part("docker engine", State.OPTIONAL, f"no docker tier: {error.message}", error.cure)
        return
    try:
        version = client.version()["Version"]
        yield Part("docker engine", State.OK, f"{version}, for the docker tier")
        from agentkit.sandbox.docker.image import find_image  # noqa: PLC0415 - as above

        try:
            find_image(client)
        except SandboxError as error:
            yield Part("sandbox image", State.OPTIONAL, error.message, "agentkit sandbox build")
        else:
            yield Part("sandbox image", State.OK, "built")
    finally:
        client.close()
