"""Finding, checking and doing without the compiled library; the operators; the command."""

from __future__ import annotations

import copy
import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from agentkit.errors import ModelError
from agentkit.model.kernels import MoeShape, Weights, experts_forward, routed_forward
from agentkit.model.kernels import build as build_module
from agentkit.model.kernels.build import BuildFailed, build, sources_digest
from agentkit.model.kernels.decode import linear_bias, native_linear
from agentkit.model.kernels.dispatch import LibraryUnusable, open_library
from agentkit.model.kernels.packing import pack_matrix

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


def test_a_compiler_without_amx_and_static_runtime_still_builds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    older = tmp_path / "c++"
    older.write_text(
        '#!/bin/sh\ncase "$*" in *-mamx*|*-static-lib*)\n'
        'echo "error: unknown option" >&2; exit 1;; esac\n'
        f'exec {shutil.which("c++")} "$@"\n'
    )
    older.chmod(0o755)
    monkeypatch.setenv("CXX", str(older))
    monkeypatch.delenv("AGENTKIT_KERNEL_LEVEL", raising=False)
    opened = open_library(build(tmp_path / "moe.so", extra_flags=("-O0",)))
    assert "without amx: c++ refused: error: unknown option" in capfd.readouterr().err
    assert not opened.use_level("amx")
    assert opened.use_level("portable")


def test_a_library_that_lacks_functions_of_these_sources_is_not_used(tmp_path: Path) -> None:
    source, library = tmp_path / "old.c", tmp_path / "moe.so"
    source.write_text(
        "int agentkit_moe_abi(void) { return 1; }\n"
        'const char *agentkit_moe_sources(void) { return "older"; }\n'
    )
    subprocess.run(["cc", "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
    with pytest.raises(LibraryUnusable, match="other sources"):
        open_library(library)


FORKS = """
import os, threading
import torch
from agentkit.model.kernels import MoeShape, Weights, pack_experts, routed_forward, library
torch.set_num_threads(2)
if {own}:
    library().use_own_team()
eye = torch.eye(64)
shape = MoeShape(64, 64, 2, 1, Weights.FLOAT32)
packed = pack_experts(shape, [(eye, eye, eye)] * 2, router=torch.ones(2, 64))
x = torch.ones(64, 64)
wanted, _ = routed_forward(x, packed)
ended = threading.Event()

def work():
    while not ended.is_set():
        routed_forward(x, packed)

busy = threading.Thread(target=work)
busy.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        os._exit(0 if torch.equal(routed_forward(x, packed)[0], wanted) else 1)
    assert os.waitpid(child, 0)[1] == 0
ended.set()
busy.join()
"""


@pytest.mark.parametrize("own", [False, True])
def test_a_child_that_is_forked_during_a_call_computes(kernel: KernelLibrary, own: bool) -> None:
    done = _run(FORKS.format(own=own))
    assert done.returncode == 0, done.stderr


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


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:DeprecationWarning")
def test_what_torch_records_or_replaces_goes_through_the_operator(
    kernel: KernelLibrary, make_layer: Callable[..., PackedExperts]
) -> None:
    packed = make_layer()
    x, other = torch.randn(2, 6, 160)

    def layer(x: torch.Tensor) -> torch.Tensor:
        return routed_forward(x, packed)[0]

    wanted = layer(other)
    torch.testing.assert_close(make_fx(layer)(x)(other), wanted)
    torch.testing.assert_close(torch.jit.trace(layer, (x,), check_trace=False)(other), wanted)
    torch.testing.assert_close(torch.func.functionalize(layer)(other), wanted)
    torch.testing.assert_close(layer(torch._neg_view(-other)), wanted)
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert layer(x).shape == x.shape


def test_a_copy_of_packed_weights_computes_with_its_own(
    kernel: KernelLibrary, make_layer: Callable[..., PackedExperts]
) -> None:
    packed, x = make_layer(), torch.randn(3, 160)
    _, logits = routed_forward(x, packed)
    double = dataclasses.replace(packed, router=packed.router * 2)
    torch.testing.assert_close(routed_forward(x, double)[1], logits * 2)
    for copied in (copy.copy(packed), copy.deepcopy(packed)):
        assert copied._native == {}
        assert torch.equal(routed_forward(x, copied)[1], logits)


def test_packed_tensors_of_another_kind_are_refused_before_memory_is_read(
    make_layer: Callable[..., PackedExperts], kernel: KernelLibrary
) -> None:
    packed, x = make_layer(), torch.randn(3, 160)
    for name, tensor in (
        ("router", packed.router.bfloat16()),
        ("router", packed.router[:-1]),
        ("down", packed.down[:, :-1]),
        ("gate_up", packed.gate_up.transpose(0, 1)),
    ):
        with pytest.raises(ModelError, match=f"{name} of packed weights"):
            routed_forward(x, dataclasses.replace(packed, **{name: tensor}))


def test_a_bias_of_another_size_is_refused() -> None:
    shape = MoeShape(hidden=40, intermediate=32, experts=1, top_k=1, weights=Weights.FLOAT32)
    with pytest.raises(ModelError, match="the bias is"):
        linear_bias(shape, torch.randn(8))
    words, _ = pack_matrix(torch.randn(32, 40), shape)
    with pytest.raises(ModelError, match="bias of packed weights"):
        native_linear(shape, words, None, torch.randn(40))


def test_the_kernel_refuses_what_it_cannot_run(
    kernel: KernelLibrary, make_layer: Callable[..., PackedExperts]
) -> None:
    packed = make_layer()
    object.__setattr__(packed, "router", None)
    with pytest.raises(ModelError, match="refused"):
        kernel.run_routed(torch.randn(2, 160), packed)
