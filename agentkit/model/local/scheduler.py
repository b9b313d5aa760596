"""Continuous batching: which streams are in the next pass, who waits, who is refused.

One worker thread for each model runs its passes, as long as a stream has something to compute. A
pass takes the next tokens of every stream that writes, and up to ``prefill_tokens`` of the prompts
that are being read, in turn, so that neither a long prompt nor many short ones hold up the others.
Models whose streams cannot share a pass (see ``segments``) run them one after the other, in turn.

What is covered:
- Streams start in the order they came. At most ``streams`` run, with at most ``kv_tokens`` tokens
  among them; at most ``queue`` wait; beyond that a request is refused, and told so.
- A stream that is closed leaves at once, running or waiting: its place is free for the next one
  before the pass under way has ended.
- What goes wrong in choosing a stream's token ends that stream alone. What goes wrong in a pass
  ends the streams that were in it; their caches are dropped, and the model stays usable.
- Prompts that begin alike and arrive together are read once: the later ones wait until the first
  has read the common part, and go on from its cache.

What is not covered: priorities; deadlines (a caller cancels); fairness by tenant.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import structlog

from agentkit.errors import AgentkitError, ModelError
from agentkit.model.local.generation import run_pass
from agentkit.model.local.prefix_store import common_prefix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkit.model.local.generation import Generation, Runtime
    from agentkit.model.protocol import FinishReason, TokenUsage

__all__ = ["Scheduler", "Ticket"]


class Ticket:
    """One stream's place with the scheduler. Made by ``Scheduler.submit``; close it in the end."""

    def __init__(self, scheduler: Scheduler, generation: Generation, lock: threading.Lock) -> None:
        self._scheduler = scheduler
        self._arrived = threading.Condition(lock)
        self._outbox: list[int] = []
        self._error: Exception | None = None
        self._finish: FinishReason | None = None
        self._usage = generation.usage
        self.generation = generation
        self.opened = False
        self.follows: tuple[Ticket, int] | None = None

    @property
    def ended(self) -> bool:
        """Whether no pass will decide anything more for it."""
        return self._finish is not None or self._error is not None

    @property
    def finish(self) -> FinishReason:
        """Why it ended."""
        return self._finish or "cancelled"

    @property
    def usage(self) -> TokenUsage:
        """Tokens and seconds, as of what was handed out."""
        return self._usage

    @property
    def backlog(self) -> int:
        """How many tokens wait to be taken."""
        return len(self._outbox)

    def take(self) -> tuple[list[int], bool]:
        """Wait for tokens; return them, and whether they were the last.

        Raises what ended the stream, once all tokens before it were taken. Blocks: call it from a
        worker thread.
        """
        with self._arrived:
            while not self._outbox and not self.ended:
                self._arrived.wait()
            tokens, self._outbox = self._outbox, []
            if self._error is not None and not tokens:
                raise self._error
            last = self._finish is not None
        if not last:
            self._scheduler.wake()
        return tokens, last

    def close(self) -> None:
        """Leave, from any thread, at any time; ``finish`` is ``cancelled`` unless it had ended."""
        self._scheduler.remove(self)

    # Below: for the scheduler, which holds the lock.

    def deliver(self, tokens: Sequence[int]) -> bool:
        """Hand out the tokens of a pass; return whether the generation has come to its end."""
        self._outbox.extend(tokens)
        self._usage = self.generation.usage
        self._finish = self.generation.finish
        self._arrived.notify_all()
        return self.ended

    def end(self, cause: FinishReason | Exception) -> None:
        """End it here, unless it has ended."""
        if not self.ended:
            if isinstance(cause, Exception):
                self._error = cause
            else:
                self._finish = cause
        self._arrived.notify_all()


class Scheduler:
    """Runs the streams of one model."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._policy = runtime.batch
        self._kv_tokens = runtime.batch.resolve_tokens(runtime.context_tokens)
        self._lock = threading.Lock()
        self._waiting: deque[Ticket] = deque()
        self._running: list[Ticket] = []
        self._leaving: list[Ticket] = []
        self._working = False
        self._closed = False
        self._log = structlog.get_logger(__name__)
        # One thread for all passes, so that torch's own threads are made once; it is made when
        # first needed, and ends with this object or the interpreter.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="agentkit-model")

    def submit(self, generation: Generation) -> Ticket:
        """Start a generation, or let it wait; raises ``ModelError`` where it cannot do either."""
        if generation.tokens > self._kv_tokens:
            raise ModelError(
                f"prompt and reply may come to {generation.tokens} tokens; the KV caches of all"
                f" streams together hold {self._kv_tokens}",
                cure="ask for fewer max_tokens, shorten the conversation, or load the model with a"
                " larger kv_tokens",
            )
        with self._lock:
            if self._closed:
                raise ModelError("the model was closed", cure="load it again")
            ticket = Ticket(self, generation, self._lock)
            self._waiting.append(ticket)
            self._admit()
            if len(self._waiting) > self._policy.queue:
                self._waiting.remove(ticket)
                raise ModelError(
                    f"the model's queue is full: {len(self._running)} generations run and"
                    f" {len(self._waiting)} wait",
                    cure="ask again later, or load the model with a longer queue"
                    f" (now {self._policy.queue}), more streams (now {self._policy.streams}) or"
                    f" more kv_tokens (now {self._kv_tokens})",
                )
            self._wake()
        return ticket

    def wake(self) -> None:
        """Go on if anything can: someone took tokens."""
        with self._lock:
            self._wake()

    def remove(self, ticket: Ticket) -> None:
        """Let a stream go, wherever it is, and the next one in."""
        with self._lock:
            ticket.end("cancelled")
            if ticket in self._waiting:
                self._waiting.remove(ticket)
            self._retire(ticket)
            self._wake()

    def close(self) -> None:
        """End all streams as ``cancelled``, and take no more.

        The runtime, and the weights with it, is let go when no pass is under way any more.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for ticket in [*self._running, *self._waiting]:
                ticket.end("cancelled")
            self._waiting.clear()
            for ticket in list(self._running):
                self._retire(ticket)
            self._rest(working=self._working)
        self._thread.shutdown(wait=False)

    def _rest(self, *, working: bool = False) -> None:
        """Note whether the worker runs; one that does not needs nothing once this is closed."""
        self._working = working
        if self._closed and not working:
            self._leaving.clear()
            del self._runtime

    def _wake(self) -> None:
        if not self._working and not self._closed and (self._running or self._leaving):
            self._working = True
            self._thread.submit(self._work)

    def _admit(self) -> None:
        """Let the longest waiting in while there is a place and memory for them."""
        used = sum(one.generation.tokens for one in self._running)
        while self._waiting and len(self._running) < self._policy.streams:
            used += self._waiting[0].generation.tokens
            if used > self._kv_tokens:
                break
            self._running.append(self._waiting.popleft())

    def _retire(self, ticket: Ticket) -> None:
        """Free a running stream's place; its cache is taken back before the next pass."""
        if ticket in self._running:
            self._running.remove(ticket)
            self._leaving.append(ticket)
            self._admit()

    def _work(self) -> None:
        """Run passes until no stream has anything to compute."""
        try:
            while True:
                self._settle()
                with self._lock:
                    members = self._choose()
                    opened = all(one.opened for one in self._running)
                    if not members and opened and not self._leaving:
                        self._rest()
                        return
                if members:
                    self._pass(members)
        except Exception as error:  # noqa: BLE001  a fault of this loop: told to all, none waits on
            with self._lock:
                everyone = [*self._running, *self._waiting]
                self._waiting.clear()
                for ticket in everyone:
                    ticket.end(_failure(error))
                    self._retire(ticket)
                self._rest()

    def _settle(self) -> None:
        """Take back the caches of streams that left, and give new ones theirs."""
        with self._lock:
            leaving, self._leaving = self._leaving, []
            fresh = [one for one in self._running if not one.opened]
        for ticket in leaving:
            try:
                with self._runtime.lock:
                    ticket.generation.release()
            except Exception as error:  # noqa: BLE001  its stream has ended; the others go on
                self._log.warning("cache_not_kept", problem=str(error), effect="it is forgotten")
        for ticket in fresh:
            try:
                with self._runtime.lock:
                    if self._must_follow(ticket):
                        continue
                    ticket.generation.open()
                ticket.opened = True
            except Exception as error:  # noqa: BLE001  told to its own stream
                self._fail(ticket, error)

    def _must_follow(self, ticket: Ticket) -> bool:
        """Whether another stream is about to read what this one's prompt begins with."""
        if ticket.follows is None:
            ticket.follows = self._leader(ticket)
            if ticket.follows is not None:
                leader, shared = ticket.follows
                leader.generation.cache.keep_at(shared)
        if ticket.follows is None:
            return False
        leader, shared = ticket.follows
        if (
            not leader.ended
            and leader.generation.reading
            and len(leader.generation.cache.ids) < shared
        ):
            return True
        ticket.follows = None
        return False

    def _leader(self, ticket: Ticket) -> tuple[Ticket, int] | None:
        prompt = ticket.generation.prompt
        best: tuple[Ticket, int] | None = None
        most = self._runtime.cache.available(prompt) + self._runtime.cache.least_tokens - 1
        with self._lock:
            reading = [one for one in self._running if one.opened and one.generation.reading]
        for other in reading:
            shared = common_prefix(other.generation.prompt, prompt, len(prompt) - 1)
            if shared > max(most, len(other.generation.cache.ids)):
                best, most = (other, shared), shared
        return best

    def _choose(self) -> list[tuple[Ticket, int]]:
        """Return the next pass: streams, and how many tokens each may read."""
        budget = self._runtime.prefill_tokens
        ready = [one for one in self._running if one.opened and one.backlog < self._policy.ahead]
        if not self._runtime.shares_passes:
            chosen = [(one, budget) for one in ready[:1]]
        else:
            chosen = [(one, budget) for one in ready if not one.generation.reading]
            for one in ready:
                if one.generation.reading and budget > 0:
                    chosen.append((one, budget))
                    budget -= len(one.generation.pending)
        # Whoever reads a prompt, or had a pass alone, is last in turn for the next.
        for one, _ in chosen:
            if one.generation.reading or not self._runtime.shares_passes:
                self._running.remove(one)
                self._running.append(one)
        return chosen

    def _pass(self, members: Sequence[tuple[Ticket, int]]) -> None:
        try:
            results = run_pass(self._runtime, [(one.generation, most) for one, most in members])
        except Exception as error:  # noqa: BLE001  told to every stream that was in the pass
            for ticket, _ in members:
                self._fail(ticket, error)
            return
        for (ticket, _), result in zip(members, results, strict=True):
            if isinstance(result, Exception):
                self._fail(ticket, result)
                continue
            with self._lock:
                if not ticket.ended and ticket.deliver(result):
                    self._retire(ticket)

    def _fail(self, ticket: Ticket, error: Exception) -> None:
        with self._lock:
            ticket.end(_failure(error))
            self._retire(ticket)


def _failure(error: Exception) -> ModelError:
    """Return what one stream is told; each gets an exception of its own."""
    if isinstance(error, AgentkitError):
        told = ModelError(error.message, cure=error.cure, place=error.place)
    else:
        text = str(error).strip().splitlines()
        told = ModelError(
            f"generating failed: {type(error).__name__}: {text[0][:300] if text else 'no message'}",
            cure="the model is usable: ask again; if memory ran out, load it with fewer streams or"
            " kv_tokens",
        )
    told.__cause__ = error
    return told
