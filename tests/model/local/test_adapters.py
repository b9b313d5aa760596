"""LoRA adapters in peft's format: merged as peft merges them, refused for all that is more."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from agentkit.errors import ModelError
from agentkit.model.local.adapters import open_adapter
from agentkit.model.local.checkpoint import inspect_checkpoint
from agentkit.model.local.loading import load_local
from agentkit.model.local.open_weights import open_weights
from agentkit.model.local.weight_format import WeightFormat
from agentkit.progress import silent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

IDS = torch.arange(3, 40).unsqueeze(0)
TARGETS = ("q_proj", "o_proj", "down_proj")


@pytest.fixture
def base(tiny_llama4: Callable[..., transformers.PreTrainedModel]) -> transformers.PreTrainedModel:
    return tiny_llama4()


@pytest.fixture
def checkpoint(base: transformers.PreTrainedModel, tmp_path: Path) -> Path:
    directory = tmp_path / "tiny-scout"
    base.save_pretrained(directory)
    (directory / "tokenizer.json").write_text("{}", encoding="utf-8")
    return directory


@pytest.fixture
def adapter(base: transformers.PreTrainedModel, tmp_path: Path) -> Path:
    return _write_adapter(base, tmp_path / "adapter")


def _write_adapter(
    base: torch.nn.Module, directory: Path, *, rank: int = 4, seed: int = 0, **config: object
) -> Path:
    """Write what peft's ``save_pretrained`` writes, for the attention and the shared experts."""
    directory.mkdir()
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, module in base.named_modules():
        if isinstance(module, torch.nn.Linear) and name.endswith(TARGETS):
            sizes = {"A": (rank, module.in_features), "B": (module.out_features, rank)}
            for half, size in sizes.items():
                tensors[f"base_model.model.{name}.lora_{half}.weight"] = torch.randn(
                    size, generator=generator
                ) / (8 if half == "A" else 4)
    save_file(tensors, directory / "adapter_model.safetensors")
    values = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "some-org/tiny-scout",
        "r": rank,
        "lora_alpha": 8,
        "lora_dropout": 0.05,
        "bias": "none",
        "target_modules": [*TARGETS],
        "init_lora_weights": True,
        "use_rslora": False,
        "modules_to_save": None,
    }
    (directory / "adapter_config.json").write_text(json.dumps(values | config), encoding="utf-8")
    return directory


def _merged_by_hand(base: torch.nn.Module, adapter: Path, scale: float) -> None:
    """The oracle: W + scale * B @ A, as peft's forward pass computes it."""
    tensors = load_file(adapter / "adapter_model.safetensors")
    for name, a in tensors.items():
        if ".lora_A." in name:
            b = tensors[name.replace(".lora_A.", ".lora_B.")]
            stem = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            base.get_submodule(stem).weight.data += scale * (b @ a)


def _load(checkpoint: Path, adapters: list[Path], **more: object) -> transformers.PreTrainedModel:
    files = inspect_checkpoint(checkpoint)
    opened = [open_adapter(one, base_names=["tiny-scout"]) for one in adapters]
    options = {"cache": None, "progress": silent, "adapters": opened} | more
    chosen = options.pop("chosen", WeightFormat())
    return open_weights(files, files.architecture, "auto", chosen, **options).model


def _logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(IDS).logits
        return found


@pytest.mark.parametrize(
    ("config", "scale"),
    [({}, 2.0), ({"lora_alpha": 3}, 0.75), ({"use_rslora": True}, 8 / math.sqrt(4))],
)
def test_merged_logits_are_those_of_the_adapted_model(
    base: transformers.PreTrainedModel,
    checkpoint: Path,
    tmp_path: Path,
    config: dict[str, object],
    scale: float,
) -> None:
    adapter = _write_adapter(base, tmp_path / "adapter", **config)
    plain = _logits(base)
    _merged_by_hand(base, adapter, scale)
    expected = _logits(base)
    assert (expected - plain).abs().max() > 0.1
    assert (_logits(_load(checkpoint, [adapter])) - expected).abs().max() <= 1e-4


def test_patterns_give_one_module_another_scale(
    base: transformers.PreTrainedModel, checkpoint: Path, adapter: Path
) -> None:
    config = json.loads((adapter / "adapter_config.json").read_text())
    config["alpha_pattern"] = {r"layers\.1\.self_attn\.q_proj": 80}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    opened = open_adapter(adapter, base_names=["tiny-scout"])
    scales = {module: merge.scale for module, merge in opened.updates.items()}
    assert scales.pop("model.layers.1.self_attn.q_proj") == 20
    assert set(scales.values()) == {2.0}


def test_two_adapters_are_both_merged(
    base: transformers.PreTrainedModel, checkpoint: Path, adapter: Path, tmp_path: Path
) -> None:
    other = _write_adapter(base, tmp_path / "other", rank=2, seed=1)
    _merged_by_hand(base, adapter, 2.0)
    _merged_by_hand(base, other, 4.0)
    found = _logits(_load(checkpoint, [adapter, other]))
    assert (found - _logits(base)).abs().max() <= 1e-4


def test_an_adapter_is_part_of_the_packed_caches_key(
    base: transformers.PreTrainedModel, checkpoint: Path, adapter: Path, tmp_path: Path
) -> None:
    options = {"cache": tmp_path / "cache", "chosen": WeightFormat("int8", "int8")}
    plain = _logits(_load(checkpoint, [], **options))
    first = _logits(_load(checkpoint, [adapter], **options))
    assert (first - plain).abs().max() > 0.1
    assert torch.equal(first, _logits(_load(checkpoint, [adapter], **options)))
    assert torch.equal(plain, _logits(_load(checkpoint, [], **options)))


def test_the_hash_is_reported(tiny_directory: Path, tmp_path: Path) -> None:
    model = transformers.Llama4ForCausalLM.from_pretrained(tiny_directory)
    adapter = _write_adapter(model, tmp_path / "mine", base_model_name_or_path="x/scout-base")
    loaded = load_local(tiny_directory, adapters=[adapter], base_model="someone/Scout-Base")
    (said,) = loaded.info.adapters
    assert said == f"mine sha256:{open_adapter(adapter, base_names=['scout-base']).sha256}"
    before = said
    config = adapter / "adapter_config.json"
    config.write_text(config.read_text() + " ")
    assert load_local(
        tiny_directory, adapters=[adapter], base_model="Scout-Base"
    ).info.adapters != (before,)


def _edit(adapter: Path, **changes: object) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _retensor(adapter: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"target_parameters": ["experts.gate_up_proj"]}, "target_parameters"),
        ({"bias": "all"}, "bias"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"peft_type": None}, "type"),
        ({"r": 5}, "rank is 5"),
        ({"r": 0}, "r must be"),
        ({"r": True}, "r must be"),
        ({"lora_alpha": "8"}, "lora_alpha"),
        ({"target_modules": ["q_proj", "k_proj"]}, "k_proj"),
        ({"base_model_name_or_path": "other/model"}, "made for other/model"),
        ({"base_model_name_or_path": None}, "does not name"),
        ({"base_model_name_or_path": ""}, "does not name"),
    ],
)
def test_what_cannot_be_merged_exactly_is_refused(
    adapter: Path, changes: dict[str, object], said: str
) -> None:
    _edit(adapter, **changes)
    with pytest.raises(ModelError, match=said) as caught:
        open_adapter(adapter, base_names=["org/Tiny-Scout"])
    assert caught.value.cure
    assert caught.value.place.startswith(str(adapter))


def test_unknown_and_ill_fitting_targets(checkpoint: Path, adapter: Path) -> None:
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"

    def widen(tensors: dict[str, torch.Tensor]) -> None:
        tensors[name] = torch.zeros(4, 65)

    def rename(tensors: dict[str, torch.Tensor]) -> None:
        for half in "AB":
            old = name.replace("lora_A", f"lora_{half}")
            tensors[old.replace("layers.0", "layers.9")] = tensors.pop(old)

    _retensor(adapter, widen)
    with pytest.raises(ModelError, match="another shape"):
        _load(checkpoint, [adapter])
    _retensor(adapter, rename)
    with pytest.raises(ModelError, match=r"layers\.9\.self_attn\.q_proj is no weight") as caught:
        _load(checkpoint, [adapter])
    assert "trained for this very model" in caught.value.cure


def test_half_an_update_and_strange_tensors(adapter: Path) -> None:
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    _retensor(adapter, lambda tensors: tensors.__delitem__(name))
    with pytest.raises(ModelError, match="half of the update"):
        open_adapter(adapter, base_names=["tiny-scout"])
    _retensor(adapter, lambda tensors: tensors.update({"x.lora_magnitude": torch.zeros(1)}))
    with pytest.raises(ModelError, match="no LoRA matrix"):
        open_adapter(adapter, base_names=["tiny-scout"])


def test_a_pickled_adapter_is_not_read(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"no adapter_model\.safetensors") as caught:
        open_adapter(adapter, base_names=["tiny-scout"])
    assert "pickles" in caught.value.cure


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"rank_pattern": {"(": 4}}, "rank_pattern"),
        ({"alpha_pattern": {"*q": 4}}, "alpha_pattern"),
        ({"rank_pattern": {"q_proj": math.nan}}, "rank_pattern"),
        ({"rank_pattern": {"q_proj": 0}}, "the rank is 0"),
        ({"lora_alpha": math.inf}, "lora_alpha"),
        ({"lora_alpha": math.nan}, "lora_alpha"),
    ],
)
def test_numbers_and_patterns_that_cannot_be_are_refused(
    base: transformers.PreTrainedModel, tmp_path: Path, config: dict[str, object], words: str
) -> None:
    directory = _write_adapter(base, tmp_path / "adapter", **config)
    with pytest.raises(ModelError, match=words) as caught:
        open_adapter(directory, base_names=("tiny-scout",))
    assert caught.value.cure
