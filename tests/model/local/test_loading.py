from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import anyio
import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from agentkit.errors import ModelError
from agentkit.messages import Message
from agentkit.model.kernels import library
from agentkit.model.local.loading import load_local
from agentkit.model.protocol import GenerationSettings, TextDelta

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agentkit.model.local import LocalModel


@pytest.fixture
def copy(tiny_directory: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_directory, tmp_path / "model")


def _edit(path: Path, **changes: object) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | changes), encoding="utf-8")


def _refused(directory: Path | str, **options: object) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load_local(directory, **options)
    assert caught.value.cure
    assert caught.value.place
    return caught.value


def _say(model: LocalModel) -> str:
    async def run() -> str:
        settings = GenerationSettings(max_tokens=8)
        deltas = [d async for d in model.generate([Message.user("hello")], settings=settings)]
        return "".join(d.text for d in deltas if isinstance(d, TextDelta))

    return anyio.run(run)


def test_progress_and_info(tiny_directory: Path) -> None:
    stages: list[tuple[str, int, int]] = []
    model = load_local(tiny_directory, progress=lambda *step: stages.append(step))
    assert {stage for stage, _, _ in stages} == {"load"}
    done, totals = [at for _, at, _ in stages], {total for _, _, total in stages}
    assert done == sorted(done)
    assert totals == {done[-1]}
    assert done[-1] >= 1_000_000
    assert model.info.model_id == str(tiny_directory)
    experts = "fused" if library() else "routed"
    assert model.info.backend == f"in-process, {experts} experts, float32"
    assert model.info.context_tokens == 2048


def test_bf16_and_a_smaller_context(tiny_directory: Path) -> None:
    model = load_local(tiny_directory, dtype="bfloat16", context_tokens=100)
    assert model.info.backend.endswith("bfloat16")
    assert model.info.context_tokens == 100
    assert isinstance(_say(model), str)


def test_nothing_reaches_the_terminal(
    tiny_directory: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = transformers.logging.get_verbosity()
    load_local(tiny_directory)
    out, err = capfd.readouterr()
    assert out + err == ""
    assert transformers.logging.get_verbosity() == before


def test_the_files_may_change_after_loading(copy: Path) -> None:
    """Weights are copied out of the mapped file: what it becomes later reaches no reply."""
    model = load_local(copy)
    expected = _say(model)
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(2000)
        file.write(b"\x00" * (file.seek(0, 2) - 2000))
    model._runtime.cache.forget()
    assert _say(model) == expected


def test_sharded_checkpoint(copy: Path, tiny_directory: Path) -> None:
    model = transformers.Llama4ForCausalLM.from_pretrained(tiny_directory)
    (copy / "model.safetensors").unlink()
    model.save_pretrained(copy, max_shard_size="200KB")
    assert (copy / "model.safetensors.index.json").exists()
    assert _say(load_local(copy)) == _say(load_local(tiny_directory))
    next(copy.glob("model-00002-*.safetensors")).unlink()
    assert "missing" in _refused(copy).message


def test_other_architectures_run_with_transformers_layers(
    byte_level: transformers.PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    byte_level.add_special_tokens({"additional_special_tokens": ["<|header_start|>"]})
    config = transformers.LlamaConfig(
        vocab_size=len(byte_level),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path)
    byte_level.save_pretrained(tmp_path)
    model = load_local(tmp_path)
    assert model.info.architecture == "LlamaForCausalLM"
    assert "as in transformers" in model.info.backend
    assert isinstance(_say(model), str)


def test_the_text_part_of_a_multimodal_checkpoint(
    tiny_llama4: Callable[..., transformers.PreTrainedModel],
    byte_level: transformers.PreTrainedTokenizerFast,
    tmp_path: Path,
) -> None:
    text = tiny_llama4(vocab_size=len(byte_level))
    vision = transformers.Llama4VisionConfig(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        vision_output_dim=32,
        image_size=28,
        projector_input_dim=32,
        projector_output_dim=32,
    )
    config = transformers.Llama4Config(text_config=text.config.to_dict(), vision_config=vision)
    whole = transformers.Llama4ForConditionalGeneration(config)
    whole.language_model.load_state_dict(text.state_dict())
    whole.save_pretrained(tmp_path)
    byte_level.save_pretrained(tmp_path)
    model = load_local(tmp_path)
    assert model.info.architecture == "Llama4ForCausalLM"
    ids = torch.arange(3, 40).unsqueeze(0)
    with torch.inference_mode():
        got = model._runtime._model(ids).logits
        assert (got - text(ids).logits).abs().max() <= 1e-4


def test_what_is_missing_is_named(copy: Path, tmp_path: Path) -> None:
    assert "no such model directory" in _refused(tmp_path / "nowhere").message
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        moved = (copy / name).rename(tmp_path / name)
        assert name in _refused(copy).message
        moved.rename(copy / name)
    assert load_local(copy)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "model.ckpt"])
def test_pickles_are_refused_unread(copy: Path, name: str) -> None:
    (copy / "model.safetensors").rename(copy / name)
    error = _refused(copy)
    assert "pickle" in error.message
    assert name in error.message


@pytest.mark.parametrize("keep", [0, 5, 100, 50_000])
def test_truncated_weights(copy: Path, keep: int) -> None:
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    error = _refused(copy)
    assert "truncated or damaged" in error.message
    assert error.place == str(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_garbled_json(copy: Path, name: str, content: bytes) -> None:
    (copy / name).write_bytes(content)
    assert name in _refused(copy).place


def test_a_tokenizer_that_is_json_but_no_tokenizer(copy: Path) -> None:
    (copy / "tokenizer.json").write_text("{}", encoding="utf-8")
    assert "tokenizer cannot be read" in _refused(copy).message


@pytest.mark.parametrize(
    "changes",
    [
        {"architectures": None},
        {"architectures": ["BertModel"]},
        {"architectures": ["EvilForCausalLM"], "auto_map": {"AutoModelForCausalLM": "evil.Evil"}},
    ],
)
def test_unknown_architectures(copy: Path, changes: dict[str, object]) -> None:
    (copy / "evil.py").write_text("raise SystemExit('code of a model ran')", encoding="utf-8")
    _edit(copy / "config.json", **changes)
    assert "architecture" in _refused(copy).message


@pytest.mark.parametrize("changes", [{"num_hidden_layers": 5}, {"hidden_size": 128}])
def test_a_config_of_other_weights(copy: Path, changes: dict[str, object]) -> None:
    _edit(copy / "config.json", layer_types=None, no_rope_layers=None, moe_layers=None, **changes)
    _refused(copy)


def test_an_unknown_prompt_format(copy: Path) -> None:
    text = (copy / "tokenizer.json").read_text(encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (copy / name).read_text(encoding="utf-8")
        (copy / name).write_text(text.replace("<|header_start|>", "<|other|>"), encoding="utf-8")
    assert "prompt format is unknown" in _refused(copy).message


def test_context_beyond_the_model(copy: Path) -> None:
    assert "2048" in _refused(copy, context_tokens=4096).message


def test_a_hub_id_needs_a_revision() -> None:
    assert "revision" in _refused("some-org/some-model").message


def test_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A closed loopback port stands for the hub: the connection is refused for real."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _seconds: None)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    error = _refused("some-org/some-model", revision="0" * 40)
    assert "cannot be reached" in error.message
    assert "network" in error.cure


def _phi3(directory: Path, tokenizer: transformers.PreTrainedTokenizerFast) -> Path:
    """A model with longrope: short contexts are turned by other frequencies than long ones."""
    config = transformers.Phi3Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        original_max_position_embeddings=128,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 10000.0,
            "original_max_position_embeddings": 128,
            "short_factor": [1.0] * 8,
            "long_factor": [4.0] * 8,
        },
        pad_token_id=0,
    )
    transformers.Phi3ForCausalLM(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def test_contexts_end_where_longrope_would_read_all_positions_differently(
    byte_level: transformers.PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    directory = _phi3(tmp_path / "model", byte_level)
    assert load_local(directory).info.context_tokens == 128
    assert "longrope" in _refused(directory, context_tokens=129).cure


def test_a_config_that_states_no_context_needs_one(
    byte_level: transformers.PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    config = transformers.BloomConfig(
        vocab_size=len(byte_level), hidden_size=32, n_layer=2, n_head=4
    )
    transformers.BloomForCausalLM(config).save_pretrained(tmp_path / "model")
    byte_level.save_pretrained(tmp_path / "model")
    assert "context_tokens" in _refused(tmp_path / "model").cure
    assert load_local(tmp_path / "model", context_tokens=64).info.context_tokens == 64


def test_a_chunk_that_is_null_is_refused(copy: Path) -> None:
    _edit(copy / "config.json", attention_chunk_size=None)
    assert "attention_chunk_size" in _refused(copy).cure


def _tokenizer(decoder: decoders.Decoder, *names: str) -> transformers.PreTrainedTokenizerFast:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({letter: n for n, letter in enumerate(letters)}, []))
    backend.decoder = decoder
    backend.add_special_tokens(list(names))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend)


def test_tokenizers_that_cannot_end_or_constrain_a_reply_are_refused(copy: Path) -> None:
    _tokenizer(decoders.ByteLevel(), "<|im_start|>").save_pretrained(copy)
    assert "none of the tokens that end a reply" in _refused(copy).message
    _tokenizer(decoders.Metaspace(), "<|im_start|>", "<|im_end|>").save_pretrained(copy)
    with pytest.raises(ModelError, match="cannot read the tokenizer") as caught:
        load_local(copy)
    assert "byte" in caught.value.cure
