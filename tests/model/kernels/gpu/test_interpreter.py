"""The Triton kernels without a GPU: run by Triton's interpreter, and compiled for GPUs elsewhere.

Each needs a process of its own; see ``conftest.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
EVERYTHING = os.environ.get("AGENTKIT_TEST_ALL") == "1"
# Bytes of shared memory that a program may have: for 80 the least of its kin (8.6, 8.9).
SHARED = {"80": 101_376, "90": 232_448}
KERNELS = {"route_tokens", "lay_out", "place_rows", "gate_up_rows", "down_rows", "combine_rows"}


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
        cwd=ROOT,
        timeout=1800,
    )


def test_the_interpreted_kernels_pass_their_tests() -> None:
    files = sorted(HERE.glob("test_triton_*.py"))
    # The suites above this folder's conftest have fixtures for other parts of the house.
    options = ("-q", "-p", "no:cacheprovider", f"--confcutdir={HERE}")
    done = _run("-m", "pytest", *options, *map(str, files), TRITON_INTERPRET="1")
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    assert " passed" in done.stdout


def test_every_kernel_compiles_for_gpus(tmp_path: Path) -> None:
    layers = [] if EVERYTHING else ["routed-bf16", "biased-fp8"]
    program = str(HERE / "compile_for_gpus.py")
    done = _run(program, *layers, TRITON_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr[-20_000:]
    compiled = [line.split() for line in done.stdout.splitlines()]
    assert {name for name, _, _ in compiled} == KERNELS | {"count_slots"}
    for name, target, shared in compiled:
        assert int(shared) <= SHARED[target], name
