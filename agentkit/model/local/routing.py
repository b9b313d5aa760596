"""Llama 4's mixture of experts, routed: a token goes through its chosen experts and no others.

transformers' own block sends every token through every expert with the unchosen inputs zeroed,
which costs E times the work and reads all weights even for one token (huggingface/transformers
issue 37325). ``RoutedMoe`` takes the place of one such block and keeps its weights:

- router logits in fp32 whatever the model's dtype: in bf16 about one token in a hundred has an
  exact tie, and rounding alone flips the choice;
- a tie goes to the lowest expert index (``torch.topk`` promises no order);
- the fp32 sigmoid of the logit scales the expert's *input*: SwiGLU is not homogeneous, so scaling
  its output would be another function;
- the shared expert is added with weight 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers.models.llama4.modeling_llama4 import Llama4TextMoe

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RoutedMoe", "choose_experts", "route_experts"]


def choose_experts(logits: torch.Tensor, top_k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the scores and indices of each token's experts, best first, ties to the lowest index.

    ``logits``: [tokens, experts] fp32. Scores: [tokens, top_k] fp32 in (0, 1], indices: int64.
    """
    values, indices = torch.sort(logits, dim=-1, descending=True, stable=True)
    return torch.sigmoid(values[:, :top_k]), indices[:, :top_k]


class RoutedMoe(nn.Module):
    """Takes the place of one ``Llama4TextMoe``; shares its parameters under the same names.

    ``forward`` returns what transformers' decoder layer expects: the output [tokens, hidden] and
    the router's logits [tokens, experts] (fp32 here). Router logits asked for through
    ``output_router_logits`` are not recorded, for the router's own ``forward`` is not called.
    """

    experts: nn.Module
    router: nn.Module
    shared_expert: nn.Module

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.top_k = int(block.top_k)  # type: ignore[arg-type]  # nn.Module types all as Tensor
        self.experts = block.experts  # type: ignore[assignment]
        self.router = block.router  # type: ignore[assignment]
        self.shared_expert = block.shared_expert  # type: ignore[assignment]

    def forward(self, hidden_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map ``hidden_states`` [..., hidden] to ([tokens, hidden], [tokens, experts])."""
        x = hidden_states.reshape(-1, hidden_states.shape[-1])
        router: torch.Tensor = self.router.weight  # type: ignore[assignment]
        logits = nn.functional.linear(x.float(), router.float())
        scores, indices = choose_experts(logits, self.top_k)
        out: torch.Tensor = self.shared_expert(x)
        for rank_scores, rank_indices in zip(scores.unbind(1), indices.unbind(1), strict=True):
            # One product in fp32 and one rounding, so that bf16 keeps the score's digits.
            scaled = (x.float() * rank_scores.unsqueeze(1)).to(x.dtype)
            out = out + self._run_grouped(scaled, rank_indices)
        return out, logits

    def _run_grouped(self, x: torch.Tensor, expert_of: torch.Tensor) -> torch.Tensor:
        """Send token t of ``x`` [tokens, hidden] through expert ``expert_of[t]``, grouped."""
        if len(x) == 1:
            return self._run_expert(int(expert_of), x)
        order = torch.argsort(expert_of, stable=True)
        out = torch.empty_like(x)
        start = 0
        for expert, count in enumerate(torch.bincount(expert_of).tolist()):
            if count:
                tokens = order[start : start + count]
                out[tokens] = self._run_expert(expert, x[tokens])
                start += count
        return out

    def _run_expert(self, expert: int, x: torch.Tensor) -> torch.Tensor:
        """SwiGLU of one expert: reads only its slice of the packed weights."""
        gate_up: torch.Tensor = self.experts.gate_up_proj  # type: ignore[assignment]
        down: torch.Tensor = self.experts.down_proj  # type: ignore[assignment]
        activation: Callable[[torch.Tensor], torch.Tensor] = self.experts.act_fn  # type: ignore[assignment]
        gate, up = (x @ gate_up[expert]).chunk(2, dim=-1)
        return (up * activation(gate)) @ down[expert]


def route_experts(model: nn.Module) -> int:
    """Replace every Llama 4 MoE block of this model instance by a routed one; return how many.

    transformers' classes stay as they are; a model without such blocks is left unchanged.
    """
    replaced = 0
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Llama4TextMoe):
                setattr(module, name, RoutedMoe(child))
                replaced += 1
    return replaced
