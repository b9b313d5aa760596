"""The in-process chat model: renders, generates in a worker thread, streams deltas.

Forward passes run in the model's own thread, shared by all generations (see ``scheduler``); each
generation waits for its tokens in a worker thread. Closing the iterator or cancelling the task
takes the generation out at once, whatever pass is under way, and the model stays usable.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from agentkit.errors import ModelError
from agentkit.model.copying import copied_arguments
from agentkit.model.encoding import PromptEncoder
from agentkit.model.grammar import ReplyGrammar
from agentkit.model.local.detokenise import TextStream, TokenBytes
from agentkit.model.local.generation import Generation
from agentkit.model.local.scheduler import Scheduler
from agentkit.model.protocol import (
    Constraint,
    FinishDelta,
    GenerationSettings,
    TextDelta,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from transformers import PreTrainedTokenizerFast

    from agentkit.messages import FunctionDeclaration, Message
    from agentkit.model.formats import PromptFormat
    from agentkit.model.local.generation import Runtime
    from agentkit.model.prompt import Prompt
    from agentkit.model.protocol import Delta, ModelInfo

__all__ = ["LocalModel"]

# Every call syntax starts with one of these, and a reply is calls as a whole or not at all.
_CALL_OPENERS = ("[", "{", "<", "`")


class LocalModel:
    """A ``ChatModel`` and ``PromptModel`` in this process; generations share forward passes.

    Made by ``load_local`` and ``load_embedded``. Where too many wait already (see ``BatchPolicy``),
    ``generate`` raises ``ModelError``. ``copies``: string arguments are copied from the
    conversation (see ``copying``).
    """

    def __init__(
        self,
        runtime: Runtime,
        tokenizer: PreTrainedTokenizerFast,
        prompt_format: PromptFormat,
        info: ModelInfo,
        *,
        copies: bool = False,
    ) -> None:
        self._runtime: Runtime | None = runtime
        self._format = prompt_format
        self._info = info
        self._copies = copies
        self._encoder = PromptEncoder(tokenizer)
        self._token_bytes = TokenBytes(tokenizer)
        vocabulary = tokenizer.get_vocab()
        self._stop_ids = frozenset(
            vocabulary[token] for token in prompt_format.stop_tokens if token in vocabulary
        )
        if not self._stop_ids:
            raise ModelError(
                "the tokenizer has none of the tokens that end a reply:"
                f" {', '.join(prompt_format.stop_tokens)}",
                cure="copy tokenizer.json again, or use an instruction-tuned model",
                place=info.model_id,
            )
        self._grammar = ReplyGrammar(tokenizer, runtime.vocab_size, sorted(self._stop_ids))
        self._scheduler = Scheduler(runtime)

    @property
    def info(self) -> ModelInfo:
        """What the model says of itself."""
        return self._info

    @property
    def prompt_format(self) -> PromptFormat:
        """How prompts for this model are written."""
        return self._format

    async def generate(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[FunctionDeclaration] = (),
        constraint: Constraint = Constraint(),
        settings: GenerationSettings = GenerationSettings(),
    ) -> AsyncGenerator[Delta, None]:
        """Continue the conversation.

        Text streams as it is written, except where tools are declared and the reply starts as a
        call might: then it is held until its end tells whether it is one.
        """
        may_call = bool(tools) and constraint.tool_choice != "none"
        declared = [tool.name for tool in tools] if may_call else []
        prompt = self._format.render(messages, tools, constraint)
        copied = messages if self._copies and may_call else ()
        deltas = self._run(prompt, settings, tools=tools, constraint=constraint, copied=copied)
        held, streaming = "", not may_call
        async with aclosing(deltas):
            async for delta in deltas:
                if isinstance(delta, FinishDelta):
                    if held:
                        reply = self._format.parse(held, declared)
                        for call in reply.calls:
                            yield call
                        if reply.text:
                            yield TextDelta(reply.text)
                        if reply.calls and delta.reason == "stop":
                            yield replace(delta, reason="calls")
                            return
                    yield delta
                elif streaming:
                    yield delta
                else:
                    held += delta.text
                    start = held.lstrip()
                    if start and not start.startswith(_CALL_OPENERS):
                        yield TextDelta(held)
                        held, streaming = "", True

    async def generate_prompt(
        self, prompt: Prompt, *, settings: GenerationSettings = GenerationSettings()
    ) -> AsyncGenerator[Delta, None]:
        """Continue the prompt with text, whatever that text looks like."""
        deltas = self._run(prompt, settings)
        async with aclosing(deltas):
            async for delta in deltas:
                yield delta

    async def aclose(self) -> None:
        """End every generation as ``cancelled``, release the weights; later calls raise."""
        runtime, self._runtime = self._runtime, None
        self._scheduler.close()
        if runtime is not None:
            await anyio.to_thread.run_sync(runtime.close)

    async def _run(
        self,
        prompt: Prompt,
        settings: GenerationSettings,
        *,
        tools: Sequence[FunctionDeclaration] = (),
        constraint: Constraint = Constraint(),
        copied: Sequence[Message] = (),
    ) -> AsyncGenerator[TextDelta | FinishDelta, None]:
        generation = await anyio.to_thread.run_sync(
            self._start, prompt, settings, tools, constraint, copied
        )
        ticket = self._scheduler.submit(generation)
        stream = TextStream(self._token_bytes)
        # Of its own, so that waiting generations take no place from the process's other threads.
        thread = anyio.CapacityLimiter(1)
        try:
            last = False
            while not last:
                tokens, last = await anyio.to_thread.run_sync(
                    ticket.take, abandon_on_cancel=True, limiter=thread
                )
                if text := stream.push(tokens):
                    yield TextDelta(text)
            if text := stream.finish():
                yield TextDelta(text)
            yield FinishDelta(ticket.finish, ticket.usage, generation.scores)
        finally:
            ticket.close()

    def _start(
        self,
        prompt: Prompt,
        settings: GenerationSettings,
        tools: Sequence[FunctionDeclaration],
        constraint: Constraint,
        copied: Sequence[Message],
    ) -> Generation:
        """Return the reply to be; ``copied``: the messages that string arguments are copied from.

        The prompt's length is checked before any grammar is made, which takes longer.
        """
        if self._runtime is None:
            raise ModelError(
                "the model was closed", cure="load it again", place=self._info.model_id
            )
        firsts = ((text, self._encoder.encode_text(text)) for text in settings.score_first_token)
        generation = Generation(
            self._runtime,
            self._encoder.encode(prompt),
            settings=settings,
            stop_ids=self._stop_ids,
            score={text: ids[0] for text, ids in firsts if ids},
        )
        admitted = copied_arguments(tools, copied)
        generation.matcher = self._grammar.matcher(admitted, constraint, self._format.call_syntax)
        return generation
