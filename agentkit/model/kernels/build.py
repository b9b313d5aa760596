"""Compiles the C++ sources beside this file into one shared library; needs no package at all.

The build hook of the distribution loads this file by its path, so it imports the standard library
only. Each instruction set is a translation unit of its own with its own flags; the library chooses
among them at run time, so one build serves all CPUs of an architecture.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__ = ["BuildFailed", "build", "library_path", "sources_digest"]

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "src"

_COMMON = ["-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-pthread", "-w"]
_AVX512 = ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"]
_BF16 = [*_AVX512, "-mavx512bf16", "-mavx512vnni"]
_AMX = ["-mamx-tile", "-mamx-bf16", "-mamx-int8"]

# Object name → source and flags; the width of a vector in bytes is part of an instruction set.
_ANYWHERE: dict[str, tuple[str, list[str]]] = {
    "moe": ("moe.cpp", []),
    "forward": ("forward.cpp", []),
    "team": ("team.cpp", []),
    "portable": ("level_float.cpp", ["-DAGENTKIT_VECTOR_BYTES=16"]),
    "decode": ("decode.cpp", []),
    "decode_step": ("decode_step.cpp", []),
    "decode_attention": ("decode_attention.cpp", []),
    "decode_block": ("decode_block.cpp", []),
    "decode_linear": ("decode_linear.cpp", []),
    "decode_portable": ("decode_level.cpp", ["-DAGENTKIT_VECTOR_BYTES=16"]),
}
_X86: dict[str, tuple[str, list[str]]] = {
    "avx2": ("level_float.cpp", ["-DAGENTKIT_VECTOR_BYTES=32", "-mavx2", "-mfma"]),
    "avx512": ("level_float.cpp", ["-DAGENTKIT_VECTOR_BYTES=64", *_AVX512]),
    "decode_avx2": ("decode_level.cpp", ["-DAGENTKIT_VECTOR_BYTES=32", "-mavx2", "-mfma"]),
    "decode_avx512": ("decode_level.cpp", ["-DAGENTKIT_VECTOR_BYTES=64", *_AVX512]),
}
# What an older compiler may refuse: the library is then built without, and says so.
_OPTIONAL: dict[str, tuple[str, list[str]]] = {
    "avx512_bf16": ("level_bf16.cpp", ["-DAGENTKIT_VECTOR_BYTES=64", *_BF16]),
    "amx": ("level_amx.cpp", ["-DAGENTKIT_VECTOR_BYTES=64", *_BF16, *_AMX]),
}


class BuildFailed(Exception):
    """There is no compiler, or it refused the sources; the message is one line."""


def sources_digest(sources: Path = SOURCES) -> str:
    """Return a digest of all sources: a library built from others is stale."""
    digest = hashlib.sha256()
    for path in sorted(sources.iterdir()):
        if path.suffix in {".cpp", ".h", ".inl"}:
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def library_path(folder: Path = HERE) -> Path:
    """Return where the built library lies: in no package, for it is no module of Python."""
    return folder / "lib" / "moe.so"


def _compiler() -> str:
    """Return the C++ compiler: ``CXX``, or the first usual name on the path."""
    for name in (os.environ.get("CXX", ""), "c++", "g++", "clang++"):
        found = shutil.which(name) if name else None
        if found:
            return found
    raise BuildFailed("no C++ compiler found (looked for CXX, c++, g++ and clang++)")


def _run(command: list[str]) -> None:
    """Run one compiler command; its last line of complaint becomes the error."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)  # noqa: S603 - our own compiler and flags
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line]
        lines = errors or done.stderr.splitlines() or [f"status {done.returncode}"]
        raise BuildFailed(f"{Path(command[0]).name} refused: {lines[0].strip()}")


def build(target: Path | None = None, *, extra_flags: tuple[str, ...] = ()) -> Path:
    """Compile and link; return the library's path. The target is replaced in one step.

    ``extra_flags``: for instance ``-fsanitize=address``. An instruction set that the compiler does
    not know is left out, with a line on stderr. Raises ``BuildFailed``.
    """
    if sys.platform == "win32":
        raise BuildFailed("the kernels are not built on Windows")
    target = target or library_path()
    with tempfile.TemporaryDirectory(prefix="agentkit-build-") as name:
        folder = Path(name)
        compiler = _Compiler(_compiler(), list(extra_flags), folder)
        linked = compiler.link(compiler.compile_all())
        target.parent.mkdir(exist_ok=True)
        beside = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copyfile(linked, beside)
        beside.chmod(0o755)
        beside.replace(target)
    return target


class _Compiler:
    """One compiler with its flags, and the folder for what it makes."""

    def __init__(self, command: str, extra: list[str], folder: Path) -> None:
        x86 = platform.machine().lower() in {"x86_64", "amd64"}
        self._command, self._extra, self._folder = command, extra, folder
        self._units = {**_ANYWHERE, **(_X86 if x86 else {})}
        self._optional = _OPTIONAL if x86 else {}
        self._defines = [f'-DAGENTKIT_SOURCES="{sources_digest()}"']
        self._defines += ["-DAGENTKIT_X86"] if x86 else []

    def compile_all(self) -> list[str]:
        """Compile every unit; return the objects. The levels come last: they name the others."""
        with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
            needed = [pool.submit(self._compile, unit, *self._units[unit]) for unit in self._units]
            optional = {
                unit: pool.submit(self._compile, unit, *self._optional[unit])
                for unit in self._optional
            }
        objects = [one.result() for one in needed]
        for unit, one in optional.items():
            try:
                objects.append(one.result())
            except BuildFailed as error:
                sys.stderr.write(f"built without {unit}: {error}\n")
            else:
                self._defines.append(f"-DAGENTKIT_{unit.upper()}")
        return [*objects, self._compile("levels", "levels.cpp", [])]

    def link(self, objects: list[str]) -> Path:
        """Link the library, with the compiler's own runtime in it where that can be had."""
        linked = self._folder / "linked.so"
        shared = [self._command, "-shared", "-pthread", *self._extra, *objects, "-o", str(linked)]
        if sys.platform != "linux":
            _run(shared)
            return linked
        try:
            _run([*shared, "-static-libgcc", "-static-libstdc++", "-Wl,--exclude-libs,ALL"])
        except BuildFailed:
            _run(shared)
        return linked

    def _compile(self, unit: str, source: str, own: list[str]) -> str:
        made = f"{self._folder / unit}.o"
        flags = [*_COMMON, *self._extra, *own, *self._defines]
        _run([self._command, *flags, "-c", str(SOURCES / source), "-o", made])
        return made
