"""Models filled unit by unit: transformers' logits in fp32, close ones when quantised."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
import transformers

from agentkit.errors import ModelError
from agentkit.model.kernels.dispatch import library
from agentkit.model.local.checkpoint import CheckpointFiles, inspect_checkpoint
from agentkit.model.local.open_weights import OpenedWeights, open_weights
from agentkit.model.local.weight_format import WeightFormat
from agentkit.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
FAMILIES = runpy.run_path(str(ROOT / "tests/model/kernels/test_experts.py"))
NAMES = ["llama4", *FAMILIES["FAMILIES"]]
EVERYTHING = os.environ.get("AGENTKIT_TEST_ALL") == "1"
IDS = torch.randint(3, 100, (1, 40), generator=torch.Generator().manual_seed(2))


@pytest.fixture
def make(tiny_llama4: Callable[..., transformers.PreTrainedModel]) -> Callable[..., object]:
    def build(family: str, **more: object) -> transformers.PreTrainedModel:
        if family == "llama4":
            return tiny_llama4(**more)
        model: transformers.PreTrainedModel = FAMILIES["_tiny"](family)
        return model

    return build


def _open(
    directory: Path, chosen: WeightFormat = WeightFormat(), *, dtype: str = "auto", **more: object
) -> OpenedWeights:
    files: CheckpointFiles = inspect_checkpoint(directory)
    options = {"cache": None, "progress": silent} | more
    return open_weights(files, files.architecture, dtype, chosen, **options)


def _save(model: transformers.PreTrainedModel, directory: Path) -> None:
    model.save_pretrained(directory, max_shard_size="300KB")
    (directory / "tokenizer.json").write_text("{}", encoding="utf-8")


def _logits(model: transformers.PreTrainedModel) -> torch.Tensor:
    with torch.inference_mode():
        return model(IDS).logits.float()


@pytest.mark.parametrize("family", NAMES)
def test_fp32_logits_equal_transformers(
    make: Callable[..., transformers.PreTrainedModel], family: str, tmp_path: Path
) -> None:
    theirs = make(family)
    _save(theirs, tmp_path)
    opened = _open(tmp_path)
    assert opened.streamed
    assert not [name for name, p in opened.model.named_parameters() if p.device.type == "meta"]
    assert (_logits(opened.model) - _logits(theirs)).abs().max() <= 1e-4


@pytest.mark.parametrize("family", ["llama4", "mixtral", "gpt_oss", "granitemoe"])
def test_the_same_without_the_kernel(
    make: Callable[..., transformers.PreTrainedModel],
    family: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs = make(family)
    _save(theirs, tmp_path)
    monkeypatch.setenv("AGENTKIT_KERNELS", "off")
    library.cache_clear()
    try:
        plain, int8 = _open(tmp_path), _open(tmp_path, WeightFormat("int8"))
        expected = _logits(theirs)
        assert (_logits(plain.model) - expected).abs().max() <= 1e-4
        assert int8.filled.fused == theirs.config.num_hidden_layers
        # The median token: rounding may send one to another expert, which no bound can hold.
        errors = (_logits(int8.model) - expected).norm(dim=-1) / expected.norm(dim=-1)
        assert errors.median() <= 0.06
    finally:
        monkeypatch.delenv("AGENTKIT_KERNELS")
        library.cache_clear()


@pytest.mark.parametrize("group", [32, 64])
@pytest.mark.parametrize(("name", "bound"), [("bf16", 0.02), ("int8", 0.03), ("int4", 0.4)])
def test_every_format_stays_close(
    make: Callable[..., transformers.PreTrainedModel],
    tmp_path: Path,
    name: str,
    bound: float,
    group: int,
) -> None:
    # One expert: rounding in one layer cannot send a token of the next another way.
    theirs = make("llama4", num_local_experts=1)
    _save(theirs, tmp_path)
    linears = "auto" if name == "bf16" else name
    opened = _open(tmp_path, WeightFormat(name, linears, group))
    expected = _logits(theirs)
    assert (_logits(opened.model) - expected).norm() <= bound * expected.norm()
    assert opened.filled.fused == 4
    if name != "bf16":
        assert type(opened.model.lm_head).__name__ == "PackedLinear"
        assert opened.model.get_output_embeddings().out_features == 500


def test_tied_embeddings_stay_one(
    make: Callable[..., transformers.PreTrainedModel], tmp_path: Path
) -> None:
    theirs = make("llama4", tie_word_embeddings=True)
    _save(theirs, tmp_path)
    model = _open(tmp_path).model
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    expected = _logits(theirs)
    assert (_logits(model) - expected).abs().max() <= 1e-4
    small = _open(tmp_path, WeightFormat("int8", "int8")).model
    assert (_logits(small) - expected).norm() <= 0.3 * expected.norm()


def test_a_dense_model_has_no_experts_to_quantise(tmp_path: Path) -> None:
    config = transformers.LlamaConfig(
        vocab_size=120, hidden_size=32, intermediate_size=64, num_hidden_layers=1
    )
    config.num_attention_heads = config.num_key_value_heads = 2
    _save(transformers.LlamaForCausalLM(config), tmp_path)
    with pytest.raises(ModelError, match="no experts") as caught:
        _open(tmp_path, WeightFormat("int8"))
    assert "linears" in caught.value.cure
    assert _open(tmp_path, WeightFormat(linears="int8")).streamed


def test_a_quantised_checkpoint_is_refused_with_a_cure(
    make: Callable[..., transformers.PreTrainedModel], tmp_path: Path
) -> None:
    model = make("llama4")
    _save(model, tmp_path)
    model.config.quantization_config = {"quant_method": "fbgemm_fp8"}
    model.config.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="quantised already"):
        _open(tmp_path, WeightFormat("int8"))


MEMORY = """
import re, sys, torch, transformers
from pathlib import Path
from agentkit.model.local.checkpoint import inspect_checkpoint
from agentkit.model.local.open_weights import open_weights
from agentkit.model.local.weight_format import WeightFormat
from agentkit.progress import silent
torch.set_num_threads(1)
files = inspect_checkpoint(Path(sys.argv[1]))
# Not ru_maxrss, which a child takes over from the process that started it.
status = lambda: Path("/proc/self/status").read_text()
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+) kB", status())[1]) * 1024
before = peak()
chosen = WeightFormat(sys.argv[2])
opened = open_weights(files, files.architecture, "auto", chosen, cache=None, progress=silent)
print(before, peak(), opened.filled.nbytes)
"""


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama 4 of 330 MB in bf16, in shards of 100 MB."""
    directory = tmp_path_factory.mktemp("big")
    torch.manual_seed(0)
    config = transformers.Llama4TextConfig(
        vocab_size=512,
        hidden_size=512,
        intermediate_size=1024,
        intermediate_size_mlp=1024,
        num_hidden_layers=6,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        num_local_experts=16,
        pad_token_id=0,
        dtype=torch.bfloat16,
    )
    with torch.device("meta"):
        model = transformers.Llama4ForCausalLM._from_config(config, dtype=torch.bfloat16)
    model.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.05)
    model.save_pretrained(directory, max_shard_size="100MB")
    (directory / "tokenizer.json").write_text("{}", encoding="utf-8")
    return directory


@pytest.mark.parametrize("name", ["bf16", "int4", *(["int8"] if EVERYTHING else [])])
def test_peak_memory_is_the_final_weights_and_little_more(big: Path, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(big), name],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    before, peak, final = map(int, done.stdout.splitlines()[-1].split())
    assert final >= 80_000_000
    assert peak <= 1.15 * final + (1 << 30)
    # What Python and torch need is not the loader's: it adds the weights and one unit's scratch.
    assert peak - before <= 1.15 * final + (120 << 20)
