"""What is trained on is what is rendered at run time, each conversation by itself."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import torch

from agentkit.messages import Message
from agentkit.model.embedded.adapter import merge_adapter
from agentkit.model.encoding import PromptEncoder
from agentkit.model.formats import ChatmlFormat
from agentkit.model.protocol import Constraint
from training.tool_use.adapter import export_adapter, import_adapter
from training.tool_use.network import Network
from training.tool_use.packing import Packer
from training.tool_use.probe import continue_prompts
from training.tool_use.scene import draw_scene

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedTokenizerFast

    from agentkit.model.embedded.gguf_file import DenseModel


def test_a_branch_is_its_prompt_and_only_the_assistant_is_learnt(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    packer, encoder = Packer(tokenizer, 4000), PromptEncoder(tokenizer)
    for seed in range(20):
        scene = draw_scene(Random(seed))  # noqa: S311
        prefix, branches = packer.encode(scene)
        system = [Message.system(scene.system)] if scene.system else []
        for conversation, (tokens, learn) in zip(scene.conversations, branches, strict=True):
            prompt = ChatmlFormat().render([*system, *conversation[:-1]], scene.tools, Constraint())
            before = encoder.encode(prompt)
            answer = encoder.encode_text(conversation[-1].text)
            whole = [*prefix, *tokens]
            assert whole[: len(before)] == before
            assert whole[len(before) : len(before) + len(answer)] == answer
            learnt = [t for t, flag in zip(tokens, learn, strict=True) if flag]
            ends = encoder.special_id("<|im_end|>")
            assert learnt.count(ends) == sum(m.role == "assistant" for m in conversation)
            assert encoder.special_id("<|im_start|>") not in learnt


def test_conversations_beside_one_another_are_computed_as_if_alone(
    tokenizer: PreTrainedTokenizerFast, network: Network
) -> None:
    packer = Packer(tokenizer, 6000)
    batch = packer.batch(1, 3)
    with torch.no_grad():
        packed = network(batch.tokens, batch.positions, batch.mask)[0]
    scene = draw_scene(Random(3))  # noqa: S311
    prefix, branches = packer.encode(scene)
    at = len(prefix)
    for tokens, _ in branches[:3]:
        alone = torch.tensor([[*prefix, *tokens]])
        length = alone.shape[1]
        mask = torch.ones(1, length, length, dtype=torch.bool).tril()
        with torch.no_grad():
            expected = network(alone, torch.arange(length)[None], mask)[0, len(prefix) :]
        assert torch.allclose(packed[at : at + len(tokens)], expected, atol=1e-4)
        at += len(tokens)


def test_continuing_in_a_batch_is_continuing_alone(network: Network) -> None:
    prompts = [[5, 9, 7], [4, 4, 8, 1, 2, 3], [11]]
    together = continue_prompts(network, prompts, stop=257, most=6)
    for prompt, written in zip(prompts, together, strict=True):
        tokens = list(prompt)
        for token in written:
            length = len(tokens)
            mask = torch.ones(1, length, length, dtype=torch.bool).tril()
            with torch.no_grad():
                hidden = network(torch.tensor([tokens]), torch.arange(length)[None], mask)
                assert int(network.logits(hidden[:, -1]).argmax()) == token
            tokens.append(token)


def _whole(network: Network) -> torch.Tensor:
    tokens = torch.arange(3, 15)[None]
    mask = torch.ones(1, 12, 12, dtype=torch.bool).tril()
    with torch.no_grad():
        return network.logits(network(tokens, torch.arange(12)[None], mask)[0])


def test_merged_into_the_weights_the_adapter_computes_the_same(
    dense: DenseModel, network: Network, tmp_path: Path
) -> None:
    path = tmp_path / "adapter.safetensors"
    export_adapter(network, path)
    rounded = Network(dense, torch.float32)
    import_adapter(rounded, path)
    merged = Network(merge_adapter(dense, path), torch.float32)
    assert (_whole(rounded) - _whole(merged)).abs().max() <= 1e-3
    assert (_whole(merged) - _whole(Network(dense, torch.float32))).abs().max() > 0.1
