"""A quick look at an adapter: the evaluation's cases in large batches, without the grammar.

``python -m training.tool_use.probe --gguf FILE --adapter FILE``. The figures that count are those
of ``agentkit.evaluation.tools`` over the built model; this takes a tenth of its time.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from agentkit.evaluation.tools import Kind, ToolReport, draw_cases
from agentkit.evaluation.tools.run import Spoken, judge_answer, judge_asked
from agentkit.model.embedded.gguf_file import read_gguf
from agentkit.model.encoding import PromptEncoder
from agentkit.model.formats.chatml import ChatmlFormat
from agentkit.model.protocol import Constraint, ToolCallDelta
from training.tool_use.adapter import import_adapter
from training.tool_use.network import Network

if TYPE_CHECKING:
    from training.tool_use.network import Block

__all__ = ["continue_prompts"]

_BLOCKED = -1e9


@torch.no_grad()
def continue_prompts(
    network: Network, prompts: list[list[int]], *, stop: int, most: int = 120
) -> list[list[int]]:
    """Continue all prompts greedily, side by side, each until ``stop``."""
    longest = max(map(len, prompts))
    tokens = torch.tensor([[stop] * (longest - len(p)) + p for p in prompts])
    pads = torch.tensor([longest - len(p) for p in prompts])
    written: list[list[int]] = [[] for _ in prompts]
    caches: list[list[torch.Tensor]] = [[] for _ in network.blocks]
    running = torch.ones(len(prompts), dtype=torch.bool)
    for _ in range(most):
        hidden = _forward(network, tokens, pads, caches)
        tokens = network.logits(hidden[:, -1]).argmax(-1)[:, None]
        running &= tokens[:, 0] != stop
        for number in running.nonzero()[:, 0].tolist():
            written[number].append(int(tokens[number, 0]))
        if not running.any():
            break
    return written


def _forward(
    network: Network, tokens: torch.Tensor, pads: torch.Tensor, caches: list[list[torch.Tensor]]
) -> torch.Tensor:
    past = caches[0][0].shape[2] if caches[0] else 0
    columns = torch.arange(past + tokens.shape[1])
    places = (columns[past:] - pads[:, None]).clamp(min=0)
    angles = (places[..., None] * network.frequencies).repeat_interleave(2, dim=-1)
    dtype = network.embedding.dtype
    rotation = torch.stack([angles.cos(), angles.sin()])[:, :, :, None].to(dtype)
    seen = (columns[None, None] >= pads[:, None, None]) & (columns <= columns[past:, None])
    mask = torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, _BLOCKED)[:, None]
    x = functional.embedding(tokens, network.embedding)
    for block, cache in zip(network.blocks, caches, strict=True):
        x = _block(block, x, rotation, mask, cache)
    return functional.rms_norm(x, (x.shape[-1],), network.norm, network.epsilon)


def _block(
    block: Block,
    x: torch.Tensor,
    rotation: torch.Tensor,
    mask: torch.Tensor,
    cache: list[torch.Tensor],
) -> torch.Tensor:
    batch, length, hidden = x.shape
    normed = functional.rms_norm(x, (hidden,), block.attn_norm, block.epsilon)
    joined = block.qkv(normed).view(batch, length, -1, block.head_dim)
    turned, value = joined.split([block.heads + block.kv_heads, block.kv_heads], dim=2)
    turned = turned * rotation[0] + (turned @ block.swap) * rotation[1]
    query, key = turned.split([block.heads, block.kv_heads], dim=2)
    key, value = key.transpose(1, 2), value.transpose(1, 2)
    if cache:
        key, value = torch.cat([cache[0], key], dim=2), torch.cat([cache[1], value], dim=2)
    cache[:] = [key, value]
    attended = functional.scaled_dot_product_attention(
        query.transpose(1, 2), key, value, attn_mask=mask, enable_gqa=True
    )
    x = x + block.output(attended.transpose(1, 2).reshape(batch, length, -1))
    normed = functional.rms_norm(x, (hidden,), block.ffn_norm, block.epsilon)
    gate, up = block.gate_up(normed).chunk(2, dim=-1)
    return x + block.down(functional.silu(gate) * up)


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--output", type=Path)
    for name, count in (("calls", 400), ("no-tool", 80), ("injections", 60), ("rows", 32)):
        parser.add_argument(f"--{name}", type=int, default=count)
    chosen = parser.parse_args()
    torch.set_num_threads(2)
    dense = read_gguf(chosen.gguf, progress=lambda *_: None)
    network, encoder, fmt = Network(dense), PromptEncoder(dense.tokenizer), ChatmlFormat()
    if chosen.adapter:
        import_adapter(network, chosen.adapter)
    cases = draw_cases(calls=chosen.calls, no_tool=chosen.no_tool, injections=chosen.injections)
    jobs = [(c, c.asked(), judge_asked) for c in cases if c.kind is not Kind.INJECTION]
    jobs += [(c, c.told(), judge_answer) for c in cases if c.kind is not Kind.NO_TOOL]
    prompts = [encoder.encode(fmt.render(asked, c.tools, Constraint())) for c, asked, _ in jobs]
    order = sorted(range(len(jobs)), key=lambda n: len(prompts[n]))
    report = ToolReport(str(chosen.adapter), "probe")
    stop = encoder.special_id("<|im_end|>")
    for start in range(0, len(order), chosen.rows):
        part = order[start : start + chosen.rows]
        replies = continue_prompts(network, [prompts[n] for n in part], stop=stop)
        for number, reply in zip(part, replies, strict=True):
            case, _, judge = jobs[number]
            text = dense.tokenizer.decode(reply)
            parsed = fmt.parse(text, [tool.name for tool in case.tools])
            calls = [call for call in parsed.calls if isinstance(call, ToolCallDelta)]
            broken = len(calls) != len(parsed.calls)
            judge(report, case, Spoken(parsed.text or (text if broken else ""), calls, broken))
    print(report.as_table())  # noqa: T201  # what this command is for
    if chosen.output:
        chosen.output.write_text(json.dumps(report.as_json(), indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
