"""What every chat model is, wherever it runs: messages and declarations in, deltas out.

Three implementations: in-process (``local/``), remote OpenAI-compatible (``remote.py``) and
scripted (``scripted.py``, tests only).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from agentkit.messages import FunctionDeclaration, JsonObject, Message
    from agentkit.model.prompt import Prompt

__all__ = [
    "ChatModel",
    "Constraint",
    "Delta",
    "FinishDelta",
    "FinishReason",
    "GenerationSettings",
    "InvalidCallDelta",
    "ModelInfo",
    "PromptModel",
    "TextDelta",
    "TokenUsage",
    "ToolCallDelta",
]

FinishReason = Literal["stop", "calls", "length", "cancelled"]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a model says of itself; shown in the startup report and kept in the audit log.

    ``model_id``: hub id, path or name; ``revision``: commit, wheel version or content hash;
    ``architecture``: ``Llama4ForCausalLM``, ``remote`` ...; ``backend``: how it runs, in one
    phrase (``in-process, routed experts, fp32``); ``adapters``: name and SHA-256 of what was merged
    into the weights.
    """

    model_id: str
    revision: str
    architecture: str
    backend: str
    context_tokens: int
    adapters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """How to sample.

    ``temperature`` 0 is greedy. ``seed`` makes a sampled run repeatable. ``score_first_token``
    names strings (``("safe", "unsafe")``) whose probability at the first position is to be
    reported in ``FinishDelta.first_token_scores``; a backend that cannot, reports none.
    """

    max_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    score_first_token: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Constraint:
    """What the model's reply must be.

    ``tool_choice``: ``auto`` (text or calls), ``none`` (text), ``required`` (at least one call).
    ``response_schema``: JSON Schema that a text reply must match, or None.
    Calls always match the declared parameters' schema where the backend can constrain decoding.
    """

    tool_choice: Literal["auto", "none", "required"] = "auto"
    response_schema: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A further piece of the reply's text."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """One complete proposed call. ``call_id`` is empty where the backend gave none."""

    name: str
    arguments: JsonObject
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class InvalidCallDelta:
    """Text that tried to be a call: ``raw`` as written, ``problem`` as the model is told."""

    raw: str
    problem: str


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens read (of which from cache) and written, and seconds spent reading and writing."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    prefill_s: float = 0.0
    decode_s: float = 0.0


@dataclass(frozen=True, slots=True)
class FinishDelta:
    """The last delta of every reply."""

    reason: FinishReason
    usage: TokenUsage = TokenUsage()
    first_token_scores: dict[str, float] = field(default_factory=dict)


Delta = TextDelta | ToolCallDelta | InvalidCallDelta | FinishDelta


@runtime_checkable
class ChatModel(Protocol):
    """A model that continues a conversation.

    ``generate`` yields deltas, ends with exactly one ``FinishDelta`` and raises ``ModelError`` or
    ``BackendError``. Closing the generator, or cancelling the task, stops the generation.
    """

    @property
    def info(self) -> ModelInfo:
        """What the model says of itself."""

    def generate(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[FunctionDeclaration] = (),
        constraint: Constraint = Constraint(),
        settings: GenerationSettings = GenerationSettings(),
    ) -> AsyncGenerator[Delta, None]:
        """Continue the conversation."""

    async def aclose(self) -> None:
        """Release weights, threads and connections."""


@runtime_checkable
class PromptModel(ChatModel, Protocol):
    """A chat model that also continues a prompt of given segments, bypassing its chat template."""

    def generate_prompt(
        self, prompt: Prompt, *, settings: GenerationSettings = GenerationSettings()
    ) -> AsyncGenerator[Delta, None]:
        """Continue the prompt with text."""
