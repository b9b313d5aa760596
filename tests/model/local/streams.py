"""What the tests of continuous batching share: tiny streams, and what each says alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from agentkit.model.local.batch_policy import BatchPolicy
from agentkit.model.local.generation import Generation, Runtime, run_pass
from agentkit.model.protocol import GenerationSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedModel

    from agentkit.model.local.scheduler import Scheduler, Ticket
    from agentkit.model.local.segments import Segment


def ids(count: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, 500, (count,), generator=generator).tolist()


def generation(
    runtime: Runtime, prompt: Sequence[int], max_tokens: int = 12, **settings: float
) -> Generation:
    asked = GenerationSettings(max_tokens=max_tokens, **settings)
    return Generation(runtime, prompt, settings=asked, stop_ids=frozenset())


def alone(
    model: PreTrainedModel, prompt: Sequence[int], max_tokens: int = 12, **settings: float
) -> list[int]:
    """Return the reply of a model that nobody else uses: ask before a scheduler runs it."""
    runtime = Runtime(model, context_tokens=256, batch=BatchPolicy(streams=1))
    one = generation(runtime, prompt, max_tokens, **settings)
    one.open()
    tokens: list[int] = []
    while one.finish is None:
        (result,) = run_pass(runtime, [(one, runtime.prefill_tokens)])
        assert not isinstance(result, Exception)
        tokens += result
    return tokens


def drain(ticket: Ticket) -> list[int]:
    tokens, last = ticket.take()
    while not last:
        more, last = ticket.take()
        tokens += more
    ticket.close()
    return tokens


def settle(scheduler: Scheduler) -> None:
    """Wait until the scheduler's thread has nothing left to do."""
    while scheduler._working:
        scheduler._thread.submit(lambda: None).result()


def record(runtime: Runtime) -> list[list[Segment]]:
    """Return a list that every later pass appends its segments to."""
    passes: list[list[Segment]] = []
    run = runtime.forward_segments

    def watched(segments: Sequence[Segment]) -> list[torch.Tensor]:
        passes.append(list(segments))
        return run(segments)

    runtime.forward_segments = watched  # type: ignore[method-assign]  # the test's window
    return passes
