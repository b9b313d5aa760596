"""ChatML, and how the embedded 135M model is brought to call tools in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agentkit.model.toolcalls import CallSyntax

__all__ = ["ChatmlFormat"]


@dataclass(frozen=True, slots=True)
class ChatmlFormat:
    """The format of SmolLM2, Qwen and others."""

    name: ClassVar[str] = "chatml"
    stop_tokens: ClassVar[tuple[str, ...]] = ("<|im_end|>", "<|endoftext|>")
    call_syntax: ClassVar[CallSyntax] = CallSyntax.JSON
