"""The decode loop of one stream: read the prompt in chunks, then write one token after the other.

A ``Generation`` knows what goes into the next pass and what to make of its logits; ``run_pass``
runs one pass for several of them. Tokens that the grammar leaves no choice about are not sampled:
they are taken together and go through the model in one pass.
"""

from __future__ import annotations

import threading
from time import perf_counter
from typing import TYPE_CHECKING

import torch

from agentkit.errors import ModelError
from agentkit.model.local.batch_policy import BatchPolicy
from agentkit.model.local.kv_buffers import KvBuffers
from agentkit.model.local.prefix_cache import PrefixCache
from agentkit.model.local.sampling import Sampler, check_settings
from agentkit.model.local.segments import forward_alone, forward_together, shares_passes
from agentkit.model.protocol import TokenUsage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from transformers import PreTrainedModel

    from agentkit.model.grammar import ReplyMatcher
    from agentkit.model.local.native import NativeDecoder
    from agentkit.model.local.prefix_cache import StreamCache
    from agentkit.model.local.prefix_store import PrefixPolicy
    from agentkit.model.local.segments import Segment
    from agentkit.model.protocol import FinishReason, GenerationSettings

__all__ = ["Generation", "Runtime", "run_pass"]


class Runtime:
    """A model with the KV caches of its streams; one forward pass at a time.

    ``prefill_tokens``: how many tokens of prompts are read in one pass; a stop takes effect
    between two passes. ``context_tokens``: the most that prompt and reply may be together.
    ``prefixes``: how much of past prompts is kept. ``batch``: how many streams have caches, and how
    many tokens these may hold.
    ``native``: the model's own decode step.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        context_tokens: int,
        prefill_tokens: int = 256,
        prefixes: PrefixPolicy | None = None,
        batch: BatchPolicy | None = None,
        native: NativeDecoder | None = None,
    ) -> None:
        self._model = model
        self.native = native
        self.context_tokens = context_tokens
        self.prefill_tokens = prefill_tokens
        self.vocab_size = int(model.get_output_embeddings().out_features)
        self.batch = batch or BatchPolicy()
        self.cache = PrefixCache(
            model.config,
            prefixes,
            places=self.batch.streams,
            kv_tokens=self.batch.resolve_tokens(context_tokens),
            buffers=native is not None,
        )
        # Whether several streams may be in one pass; else each has passes of its own.
        self.shares_passes = shares_passes(model)
        # Held during a pass, and by whoever else touches the caches.
        self.lock = threading.Lock()

    def close(self) -> None:
        """Forget all prefixes once the pass under way has ended; erase what was spilled."""
        with self.lock:
            self.cache.close()

    def forward_segments(self, segments: Sequence[Segment]) -> list[torch.Tensor]:
        """Append each segment to its stream's cache; return the logits [vocab] fp32 after each.

        This is the one place where the model runs. Where it breaks off, the caches of ``segments``
        are half filled and of no use.
        """
        ahead = [(one.ids, one.kv) for one in segments if isinstance(one.kv, KvBuffers)]
        if self.native is not None and len(ahead) == len(segments):
            return list(self.native.extend(ahead))
        with torch.inference_mode():
            if len(segments) > 1 and self.shares_passes:
                rows = list(forward_together(self._model, segments))
            else:
                rows = [forward_alone(self._model, segment) for segment in segments]
        # Copies made outside inference mode, which a grammar may mask in place.
        return [row.to("cpu", torch.float32, copy=True) for row in rows]


def run_pass(
    runtime: Runtime, members: Sequence[tuple[Generation, int]]
) -> list[tuple[int, ...] | Exception]:
    """Run one pass for all ``members``: an open generation each, and how many tokens it may read.

    Returns for each the tokens that the pass decided, none while its prompt is being read; or what
    went wrong in choosing them, which is that generation's own. Raises what the pass itself raised;
    its members' caches are of no use then.
    """
    with runtime.lock:
        started = perf_counter()
        opened = [(one, one.cache, one.cache.segment(one.pending, most)) for one, most in members]
        try:
            logits = runtime.forward_segments([segment for _, _, segment in opened])
        except BaseException:
            for _, cache, _ in opened:
                cache.broken = True
            raise
        for _, cache, segment in opened:
            runtime.cache.note_pass(cache, segment.ids)
        seconds = perf_counter() - started
        results: list[tuple[int, ...] | Exception] = []
        for (one, _, segment), row in zip(opened, logits, strict=True):
            try:
                results.append(one.take(len(segment.ids), row, seconds))
            except Exception as error:  # noqa: BLE001  told to its own stream alone
                results.append(error)
        return results


class Generation:
    """One reply in the making. ``finish`` is None until it is complete.

    ``matcher``: the state of its grammar, set before the first pass; None where any reply is right.
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
        self._sampler = Sampler(settings)
        self._max_tokens = min(settings.max_tokens, runtime.context_tokens - len(prompt))
        self._stop_ids = stop_ids
        self._score = score or {}
        self._cache: StreamCache | None = None
        self._cached = 0
        self._written: list[int] = []
        self._prefill_s = 0.0
        self._decode_s = 0.0
        self.prompt = list(prompt)
        self.pending: list[int] = []
        self.scores: dict[str, float] = {}
        self.finish: FinishReason | None = None
        self.matcher: ReplyMatcher | None = None

    @property
    def tokens(self) -> int:
        """The most tokens that prompt and reply can come to."""
        return len(self.prompt) + self._max_tokens

    @property
    def reading(self) -> bool:
        """Whether the prompt is still being read."""
        return not self._written

    @property
    def cache(self) -> StreamCache:
        """The stream's own cache, once ``open`` was called."""
        if self._cache is None:
            raise ModelError("this generation has no cache yet", cure="open it first")
        return self._cache

    @property
    def usage(self) -> TokenUsage:
        """Tokens and seconds so far. ``completion_tokens`` counts a stop token as well.

        Seconds are those of the passes the stream was in, whoever else was in them.
        """
        return TokenUsage(
            prompt_tokens=len(self.prompt),
            cached_tokens=self._cached,
            completion_tokens=len(self._written),
            prefill_s=self._prefill_s,
            decode_s=self._decode_s,
        )

    def open(self) -> None:
        """Take a cache, with as much of the prompt as is known already; hold the runtime's lock."""
        self._cache = self._runtime.cache.open(self.prompt, self.tokens)
        self._cached = len(self._cache.ids)
        self.pending = self.prompt[self._cached :]

    def release(self) -> None:
        """Give the cache back, if it has one; hold the runtime's lock."""
        cache, self._cache = self._cache, None
        if cache is not None:
            self._runtime.cache.release(cache)

    def take(self, read: int, logits: torch.Tensor, seconds: float) -> tuple[int, ...]:
        """Note that a pass of ``seconds`` read that many tokens; return the tokens it decided.

        Several come at once where the grammar forces them; a stop token is not returned.
        """
        started = perf_counter()
        reading = self.reading
        self.pending = self.pending[read:]
        tokens = () if self.pending else self._decide(logits)
        if reading:
            self._prefill_s += seconds
            self._decode_s += perf_counter() - started
        else:
            self._decode_s += seconds + perf_counter() - started
        return tokens

    def _decide(self, logits: torch.Tensor) -> tuple[int, ...]:
        """Choose the next tokens, leave them for the next pass, and see whether the reply ends."""
        if not self._written and self._score:
            probabilities = torch.softmax(logits, dim=-1)
            self.scores = {text: float(probabilities[i]) for text, i in self._score.items()}
        tokens = self._forced() or [self._sampled(logits)]
        room = self._max_tokens - len(self._written)
        tokens, beyond = tokens[:room], tokens[room:]
        self._written += tokens
        # The grammar has accepted all of them; without these the reply is a part of one.
        is_cut = any(token not in self._stop_ids for token in beyond)
        stop = next((n for n, token in enumerate(tokens) if token in self._stop_ids), None)
        if stop is not None:
            tokens = tokens[:stop]
            self.finish = "stop"
        elif self.matcher is not None and self.matcher.is_finished and not is_cut:
            self.finish = "stop"
        elif len(self._written) >= self._max_tokens:
            self.finish = "length"
        self.pending = tokens
        return tuple(tokens)

    def _forced(self) -> list[int]:
        return self.matcher.fast_forward() if self.matcher is not None else []

    def _sampled(self, logits: torch.Tensor) -> int:
        if self.matcher is None:
            return self._sampler.pick(logits)
        self.matcher.mask(logits)
        token = self._sampler.pick(logits)
        self.matcher.accept(token)
        return token
