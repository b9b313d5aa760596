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
    "levels": ("levels.cpp", []),
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

    ``extra_flags``: for instance ``-fsanitize=address``. Raises ``BuildFailed``.
    """
    if sys.platform == "win32":
        raise BuildFailed("the kernels are not built on Windows")
    target = target or library_path()
    compiler = _compiler()
    x86 = platform.machine().lower() in {"x86_64", "amd64"}
    units = {**_ANYWHERE, **(_X86 if x86 else {})}
    flags = [*_COMMON, *(["-DAGENTKIT_X86"] if x86 else []), *extra_flags]
    digest = f'-DAGENTKIT_SOURCES="{sources_digest()}"'
    with tempfile.TemporaryDirectory(prefix="agentkit-build-") as name:
        folder = Path(name)
        commands = [
            [
                compiler,
                *flags,
                *own,
                digest,
                "-c",
                str(SOURCES / source),
                "-o",
                f"{folder / unit}.o",
            ]
            for unit, (source, own) in units.items()
        ]
        with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
            list(pool.map(_run, commands))
        objects = [f"{folder / unit}.o" for unit in units]
        linked = folder / "linked.so"
        static = (
            ["-static-libgcc", "-static-libstdc++", "-Wl,--exclude-libs,ALL"]
            if sys.platform == "linux"
            else []
        )
        _run([compiler, "-shared", "-pthread", *static, *extra_flags, *objects, "-o", str(linked)])
        target.parent.mkdir(exist_ok=True)
        beside = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copyfile(linked, beside)
        beside.chmod(0o755)
        beside.replace(target)
    return target
