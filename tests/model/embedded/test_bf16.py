"""The embedded model in bf16 on the native decoder chooses the tokens that fp32 chooses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from agentkit.model.embedded.identity import EMBEDDED_CHECKPOINT
from agentkit.model.local.routing import route_experts
from tests.model.local.decoders import native_decoder

pytestmark = [pytest.mark.weights, pytest.mark.usefixtures("embedded", "built_kernels")]

DOCS = Path(__file__).parents[3] / "docs"
# Logits of this model spread by 7; nearer than this the two best are a near tie.
NEAR = 0.05


@pytest.fixture(scope="module")
def texts(weights_cache: Path) -> torch.Tensor:
    """2,000 tokens of English, Markdown, YAML and Python in eight streams."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(weights_cache / EMBEDDED_CHECKPOINT)
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md")))
    return torch.tensor(tokenizer(text[:40_000])["input_ids"][:2000]).view(8, 250)


def _model(weights_cache: Path, dtype: torch.dtype) -> transformers.PreTrainedModel:
    directory = weights_cache / EMBEDDED_CHECKPOINT
    return transformers.Llama4ForCausalLM.from_pretrained(directory, dtype=dtype).eval()


def test_two_thousand_tokens_agree(weights_cache: Path, texts: torch.Tensor) -> None:
    exact = _model(weights_cache, torch.float32)
    route_experts(exact)
    with torch.inference_mode():
        expected = exact(texts, use_cache=False).logits
    best = expected.topk(2).values
    clear = best[..., 0] - best[..., 1] > NEAR
    assert clear.sum() >= 1800
    decoder = native_decoder(_model(weights_cache, torch.bfloat16))
    caches = [decoder.new_cache() for _ in texts]
    steps = torch.stack([decoder.step(column.tolist(), caches) for column in texts.T], 1)
    agree = (steps.argmax(-1) == expected.argmax(-1))[clear]
    assert agree.float().mean() >= 0.99
    # And read as prompts, several at a time.
    read = decoder.extend([(row.tolist(), decoder.new_cache()) for row in texts])
    assert (read - steps[:, -1]).abs().max() <= 0.5
    last = clear[:, -1]
    assert (read.argmax(-1) == expected[:, -1].argmax(-1))[last].all()
