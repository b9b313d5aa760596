"""The decode loop: read the prompt in chunks, then write one token after the other.

A ``Generation`` is advanced by ``step``: each call is one forward pass at most, so whoever drives
it can stop between any two tokens. Tokens that the grammar leaves no choice about are not sampled:
they are taken together and go through the model in one pass.
"""

from __future__ import annotations

import threading
from time import perf_counter
from typing import TYPE_CHECKING

import torch

from agentkit.errors import ModelError
from agentkit.model.local.kv_buffers import KvBuffers
from agentkit.model.local.prefix_cache import PrefixCache
from agentkit.model.local.sampling import Sampler, check_settings
from agentkit.model.protocol import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from transformers import PreTrainedModel

    from agentkit.model.grammar import ReplyMatcher
    from agentkit.model.local.native import NativeDecoder
    from agentkit.model.local.prefix_store import PrefixPolicy
    from agentkit.model.protocol import FinishReason, GenerationSettings

__all__ = ["Generation", "Runtime"]

# Up to so many tokens at once the native step is used: more are read faster as a prompt.
_NATIVE_TOKENS = 16


class Runtime:
    """A model with its KV cache; one forward pass at a time.

    ``prefill_tokens``: how many tokens of a prompt are read in one pass; a stop takes effect
    between two passes. ``context_tokens``: the most that prompt and reply may be together.
    ``prefixes``: how much of past prompts is kept. ``native``: the model's own decode step.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        context_tokens: int,
        prefill_tokens: int = 256,
        prefixes: PrefixPolicy | None = None,
        native: NativeDecoder | None = None,
    ) -> None:
        self._model = model
        self.native = native
        self.context_tokens = context_tokens
        self.prefill_tokens = prefill_tokens
        self.vocab_size = int(model.get_output_embeddings().out_features)
        self.cache = PrefixCache(model.config, prefixes, buffers=native is not None)
        # Held during a pass: one whose caller was cancelled ends before the next one begins.
        self.lock = threading.Lock()

    def close(self) -> None:
        """Forget all prefixes once the pass under way has ended; erase what was spilled."""
        with self.lock:
            self.cache.close()

    def forward(self, ids: Sequence[int]) -> torch.Tensor:
        """Append ``ids`` to the cache; return the logits [vocab] fp32 after the last of them."""
        kv = self.cache.kv
        try:
            if self.native is not None and isinstance(kv, KvBuffers) and len(ids) <= _NATIVE_TOKENS:
                logits = self.native.extend([(ids, kv)])[0]
            else:
                logits = self._read(ids)
        except BaseException:
            self.cache.forget()
            raise
        self.cache.note_pass(ids)
        return logits

    def _read(self, ids: Sequence[int]) -> torch.Tensor:
        with torch.inference_mode():
            batch = torch.tensor([list(ids)], device=self._model.device)
            out = self._model(
                input_ids=batch, past_key_values=self.cache.kv, use_cache=True, logits_to_keep=1
            )
        # A copy made outside inference mode, which a grammar may mask in place.
        logits: torch.Tensor = out.logits[0, -1].to("cpu", torch.float32, copy=True)
        return logits


class Generation:
    """One reply in the making. ``finish`` is None until it is complete.

    ``score``: for each string to be scored, the id of its first token; their probabilities at the
    first position (before any grammar) are in ``scores`` after the first token.
    """

    def __init__(
        self,
        runtime: Runtime,
        prompt: Sequence[int],
        *,
        settings: GenerationSettings,
        stop_ids: frozenset[int],
        matcher: ReplyMatcher | None = None,
        score: Mapping[str, int] | None = None,
    ) -> None:
        check_settings(settings)
        if not prompt:
            raise ModelError("the prompt is empty", cure="give at least one message")
        if len(prompt) >= runtime.context_tokens:
            raise ModelError(
                f"the prompt has {len(prompt)} tokens; the model's context holds"
                f" {runtime.context_tokens}, the reply included",
                cure="shorten the conversation or the tool results, declare fewer tools, or load"
                " the model with a larger context_tokens",
            )
        self._runtime = runtime
        self._prompt = list(prompt)
        self._sampler = Sampler(settings)
        self._max_tokens = min(settings.max_tokens, runtime.context_tokens - len(prompt))
        self._stop_ids = stop_ids
        self._matcher = matcher
        self._score = score or {}
        self._pending: list[int] = []
        self._cached: int | None = None
        self._written: list[int] = []
        self._prefill_s = 0.0
        self._decode_s = 0.0
        self._closed = False
        self.scores: dict[str, float] = {}
        self.finish: FinishReason | None = None

    @property
    def usage(self) -> TokenUsage:
        """Tokens and seconds so far. ``completion_tokens`` counts a stop token as well."""
        return TokenUsage(
            prompt_tokens=len(self._prompt),
            cached_tokens=self._cached or 0,
            completion_tokens=len(self._written),
            prefill_s=self._prefill_s,
            decode_s=self._decode_s,
        )

    def close(self) -> None:
        """Let no further pass begin; callable from any thread, at any time."""
        self._closed = True

    def step(self) -> tuple[int, ...]:
        """Run one pass and return the tokens it decided: none while the prompt is being read.

        Several tokens come at once where the grammar forces them; a stop token is not returned.
        """
        with self._runtime.lock:
            if self._closed and self.finish is None:
                self.finish = "cancelled"
            if self.finish is not None:
                return ()
            started = perf_counter()
            self._own_cache()
            reading = not self._written
            most = self._runtime.cache.pass_tokens(self._runtime.prefill_tokens)
            part = self._pending[:most]
            self._pending = self._pending[len(part) :]
            logits = self._runtime.forward(part)
            read = perf_counter()
            tokens = () if self._pending else self._decide(logits)
            if reading:
                self._prefill_s += read - started
                self._decode_s += perf_counter() - read
            else:
                self._decode_s += perf_counter() - started
            return tokens

    def _own_cache(self) -> None:
        """Start from, or after another generation's pass return to, the own prefix."""
        cache = self._runtime.cache
        if cache.owner is not self:
            known = self._prompt + self._written
            reused = cache.reuse(known)
            cache.owner = self
            self._pending = known[reused:]
            if self._cached is None:
                self._cached = reused

    def _decide(self, logits: torch.Tensor) -> tuple[int, ...]:
        """Choose the next tokens, queue them for the next pass, and see whether the reply ends."""
        if not self._written and self._score:
            probabilities = torch.softmax(logits, dim=-1)
            self.scores = {text: float(probabilities[i]) for text, i in self._score.items()}
        tokens = self._forced() or [self._sampled(logits)]
        tokens = tokens[: self._max_tokens - len(self._written)]
        self._written += tokens
        stop = next((n for n, token in enumerate(tokens) if token in self._stop_ids), None)
        if stop is not None:
            tokens = tokens[:stop]
            self.finish = "stop"
        elif self._matcher is not None and self._matcher.is_finished:
            self.finish = "stop"
        elif len(self._written) >= self._max_tokens:
            self.finish = "length"
        self._pending = tokens
        return tuple(tokens)

    def _forced(self) -> list[int]:
        return self._matcher.fast_forward() if self._matcher is not None else []

    def _sampled(self, logits: torch.Tensor) -> int:
        if self._matcher is None:
            return self._sampler.pick(logits)
        self._matcher.mask(logits)
        token = self._sampler.pick(logits)
        self._matcher.accept(token)
        return token
