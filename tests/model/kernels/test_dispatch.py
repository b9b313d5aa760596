"""Finding, checking and doing without the compiled library; the operators; the command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from agentkit.errors import ModelError
from agentkit.model.kernels import build as build_module
from agentkit.model.kernels import experts_forward, routed_forward
from agentkit.model.kernels.build import BuildFailed, build, sources_digest
from agentkit.model.kernels.dispatch import LibraryUnusable, open_library

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkit.model.kernels import PackedExperts
    from agentkit.model.kernels.dispatch import KernelLibrary

ROOT = Path(__file__).parents[3]


def _run(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        timeout=120,
    )


PROGRAM = """
import torch
from agentkit.model.kernels import MoeShape, Weights, pack_experts, routed_forward, library
shape = MoeShape(32, 32, 2, 1, Weights.INT8, 32, shared=True)
eye = torch.eye(32)
packed = pack_experts(shape, [(eye, eye, eye)] * 3, router=torch.ones(2, 32))
for _ in range(3):
    out, logits = routed_forward(torch.ones(4, 32), packed)
print(library() is None, round(float(out.mean()), 3), tuple(logits.shape))
"""


def test_without_the_library_torch_computes_and_it_is_said_once(kernel: KernelLibrary) -> None:
    without = _run(PROGRAM, AGENTKIT_KERNELS="off")
    assert without.returncode == 0, without.stderr
    assert without.stdout.count("expert_kernel_absent") == 1
    assert "python -m agentkit.model.kernels" in without.stdout
    with_library = _run(PROGRAM)
    assert "expert_kernel_absent" not in with_library.stdout
    last = without.stdout.splitlines()[-1].split()[1:]
    assert with_library.stdout.splitlines()[-1].split()[1:] == last
    assert without.stdout.splitlines()[-1].startswith("True")


def test_the_environment_chooses_the_instruction_set(kernel: KernelLibrary) -> None:
    program = "from agentkit.model.kernels import library; print('use', library().level)"
    assert "use portable" in _run(program, AGENTKIT_KERNEL_LEVEL="portable").stdout
    refused = _run(program, AGENTKIT_KERNEL_LEVEL="abacus")
    assert "AGENTKIT_KERNEL_LEVEL=abacus" in refused.stderr


def test_a_library_of_other_sources_is_not_used(
    kernel: KernelLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentkit.model.kernels.dispatch.sources_digest", lambda: "other")
    with pytest.raises(LibraryUnusable, match="other sources"):
        open_library()


def test_a_damaged_or_absent_library_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(LibraryUnusable, match="not built"):
        open_library(tmp_path / "_moe.so")
    damaged = tmp_path / "damaged.so"
    damaged.write_bytes(b"no shared library")
    with pytest.raises(LibraryUnusable, match="cannot be loaded"):
        open_library(damaged)


def test_no_compiler_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(BuildFailed, match="no C\\+\\+ compiler"):
        build(tmp_path / "_moe.so")
    assert list(tmp_path.iterdir()) == []


def test_a_compiler_that_refuses_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refusing = tmp_path / "c++"
    refusing.write_text("#!/bin/sh\necho 'moe.cpp:1: error: no such thing' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("CXX", str(refusing))
    with pytest.raises(BuildFailed, match="no such thing"):
        build(tmp_path / "_moe.so")
    assert not (tmp_path / "_moe.so").exists()


def test_the_digest_follows_the_sources(tmp_path: Path) -> None:
    for path in build_module.SOURCES.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert sources_digest(tmp_path) == sources_digest()
    (tmp_path / "moe.h").write_text("changed")
    assert sources_digest(tmp_path) != sources_digest()


def test_the_operators_pass_torchs_own_checks_and_survive_compilation(
    kernel: KernelLibrary, make_layer: Callable[..., PackedExperts]
) -> None:
    packed = make_layer()
    x = torch.randn(6, 160)
    ids, scores = torch.tensor([[0], [4], [2], [2], [1], [0]]), torch.rand(6, 1)

    def layer(x: torch.Tensor) -> torch.Tensor:
        out, logits = routed_forward(x, packed)
        return experts_forward(out, ids, scores, packed) + logits.sum()

    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), layer(x))


def test_the_kernel_refuses_what_it_cannot_run(
    kernel: KernelLibrary, make_layer: Callable[..., PackedExperts]
) -> None:
    packed = make_layer()
    object.__setattr__(packed, "router", None)
    with pytest.raises(ModelError, match="refused"):
        kernel.run_routed(torch.randn(2, 160), packed)
