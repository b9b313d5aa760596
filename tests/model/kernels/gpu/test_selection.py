"""Which kernel runs a layer, in which formats, and what quantising costs; nothing is run here."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
import transformers
from torch import nn
from transformers.models.llama4.configuration_llama4 import Llama4TextConfig
from transformers.models.llama4.modeling_llama4 import Llama4TextMoe

from agentkit.errors import ModelError
from agentkit.model.kernels import (
    MoeShape,
    Weights,
    pack_experts,
    routed_forward,
    unpack_expert,
    use_fused_experts,
)
from agentkit.model.kernels.gpu import GpuExperts, GpuShape, GpuWeights, pack_for_gpu
from agentkit.model.kernels.gpu.layer import choose_weights, cpu_weights, triton_runs_on
from agentkit.model.local.fused import fuse_experts
from agentkit.model.local.routing import RoutedMoe

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkit.model.kernels import PackedExperts

ROOT = Path(__file__).parents[4]


def _mixtral() -> transformers.PreTrainedModel:
    config = transformers.MixtralConfig(
        vocab_size=32,
        hidden_size=32,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_local_experts=2,
    )
    return transformers.MixtralForCausalLM(config)


def test_triton_runs_on_gpus_alone() -> None:
    assert importlib.util.find_spec("triton") is not None
    assert triton_runs_on(torch.device("cuda"))
    assert not triton_runs_on(torch.device("cpu"))
    assert not triton_runs_on(torch.device("meta"))


def test_without_triton_a_gpu_has_no_kernel_and_it_is_said_once() -> None:
    program = """
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "triton" else find(name, *rest)
import torch
from agentkit.model.kernels.gpu.layer import triton_runs_on
print(*(triton_runs_on(torch.device(kind)) for kind in ("cpu", "cuda", "cuda")))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("gpu_kernel_absent") == 1
    assert "agentkit-gated[gpu]" in done.stdout
    assert done.stdout.splitlines()[-1] == "False False False"


@pytest.mark.parametrize(
    ("dtype", "weights", "stored"),
    [
        (torch.bfloat16, None, torch.bfloat16),
        (torch.float16, None, torch.float16),
        (torch.bfloat16, Weights.INT8, torch.int8),
        (torch.bfloat16, GpuWeights.FLOAT8, torch.uint8),
    ],
)
def test_a_layer_is_packed_where_it_is_in_the_format_asked_for(
    monkeypatch: pytest.MonkeyPatch,
    dtype: torch.dtype,
    weights: Weights | GpuWeights | None,
    stored: torch.dtype,
) -> None:
    # Here "meta" stands for a GPU: a device that is not the CPU and computes nothing.
    for module in ("agentkit.model.kernels.experts", "agentkit.model.local.fused"):
        monkeypatch.setattr(
            f"{module}.triton_runs_on", lambda device, *, interpret: device.type == "meta"
        )
    with torch.device("meta"):
        model = _mixtral().to(dtype)
        block = Llama4TextMoe(Llama4TextConfig(hidden_size=32, intermediate_size=24))
        llama4 = nn.ModuleDict({"feed_forward": RoutedMoe(block.to(dtype))})
    assert use_fused_experts(model, weights=weights) == 1
    assert fuse_experts(llama4, weights=weights) == 1
    for packed in (
        model.model.layers[0].mlp.experts.agentkit_packed,
        llama4["feed_forward"].packed,
    ):
        assert isinstance(packed, GpuExperts)
        assert all(part.device.type == "meta" for part in packed.tensors if part is not None)
        assert packed.gate_up.dtype == packed.down.dtype == stored


def test_a_model_on_the_cpu_keeps_the_cpus_kernel() -> None:
    model = _mixtral()
    assert use_fused_experts(model) == 1
    assert not isinstance(model.model.layers[0].mlp.experts.agentkit_packed, GpuExperts)


def test_a_format_without_a_kernel_on_the_device_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with pytest.raises(ModelError, match="no GPU kernel for experts in int4"):
        use_fused_experts(_mixtral(), weights=Weights.INT4, interpret=True)
    with pytest.raises(ModelError, match="no CPU kernel for experts in float8"):
        use_fused_experts(_mixtral(), weights=GpuWeights.FLOAT8)
    with pytest.raises(ModelError, match="group 48"):
        use_fused_experts(_mixtral(), weights=GpuWeights.FLOAT8, group=48, interpret=True)


def test_on_the_cpu_triton_must_have_been_started_as_an_interpreter(
    make_layer: Callable[..., tuple[GpuExperts, PackedExperts]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ModelError, match="interpreter only"):
        use_fused_experts(_mixtral(), interpret=True)
    with pytest.raises(ModelError, match="interpreter only"):
        routed_forward(torch.randn(2, 40), make_layer()[0])


def test_formats_have_the_same_names_on_both() -> None:
    assert choose_weights(Weights.INT8, "torch.bfloat16") is GpuWeights.INT8
    assert choose_weights(None, "torch.float16") is GpuWeights.FLOAT16
    assert cpu_weights(GpuWeights.BFLOAT16) is Weights.BFLOAT16
    assert cpu_weights(None) is None
    shared = GpuWeights.__members__.keys() & Weights.__members__.keys()
    assert all(GpuWeights[name].value == Weights[name].value for name in shared)


@pytest.mark.parametrize("group", [32, 64, 128])
def test_int8_is_the_cpus_int8(
    make_layer: Callable[..., tuple[GpuExperts, PackedExperts]], group: int
) -> None:
    original = make_layer(hidden=128, intermediate=128, shared=False, experts=2)[1]
    experts = [unpack_expert(original, number) for number in range(2)]
    on_cpu = pack_experts(MoeShape(128, 128, 2, 1, Weights.INT8, group), experts)
    quantised = make_layer(
        hidden=128, intermediate=128, shared=False, experts=2, weights=GpuWeights.INT8, group=group
    )[1]
    for number in range(2):
        for found, wanted in zip(
            unpack_expert(quantised, number), unpack_expert(on_cpu, number), strict=True
        ):
            assert torch.equal(found, wanted)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
@pytest.mark.parametrize("sizes", [(1, 1), (33, 70), (128, 96)])
def test_fp8_errs_by_half_a_step_at_most(
    make_layer: Callable[..., tuple[GpuExperts, PackedExperts]],
    scale: float,
    sizes: tuple[int, int],
) -> None:
    hidden, inner = sizes
    plain, exact = make_layer(hidden=hidden, intermediate=inner)
    experts = [
        tuple(matrix * scale for matrix in unpack_expert(exact, number))
        for number in range(plain.shape.matrices)
    ]
    packed = pack_for_gpu(GpuShape.of(plain.shape, GpuWeights.FLOAT8, 32), experts)
    assert packed.gate_up.dtype is torch.uint8
    assert packed.gate_up_scales is not None
    decoded = packed.gate_up.view(torch.float8_e4m3fn).float()
    assert decoded.abs().max() <= 448
    each = packed.gate_up_scales.float().repeat_interleave(32, dim=2).transpose(2, 3)
    each = each[..., :hidden]
    for number, (gate, up, _) in enumerate(experts):
        for half, wanted in enumerate((gate.T, up.T)):
            found, step = decoded[number, half] * each[number, half], each[number, half]
            # Three bits after the first: half a step is 1/16; below 2**-6 steps are 2**-9.
            assert ((found - wanted).abs() <= wanted.abs() / 16 + step * 2.0**-10).all()


def test_zero_weights_stay_zero() -> None:
    zero = torch.zeros(33, 33)
    for weights in GpuWeights:
        shape = GpuShape(33, 33, 1, 1, weights, 64 if weights.quantised else 0)
        packed = pack_for_gpu(shape, [(zero, zero, zero)])
        assert not packed.gate_up.any()
        assert not packed.down.any()


def test_weights_that_do_not_fit_the_shape_are_refused() -> None:
    shape = GpuShape(32, 64, 2, 1)
    right = (torch.zeros(32, 64), torch.zeros(32, 64), torch.zeros(64, 32))
    wrong = (torch.zeros(64, 32), torch.zeros(32, 64), torch.zeros(64, 32))
    with pytest.raises(ModelError, match="1 experts for a layer of 2"):
        pack_for_gpu(shape, [right])
    with pytest.raises(ModelError, match="gate of expert 1"):
        pack_for_gpu(shape, [right, wrong])
