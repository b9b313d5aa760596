"""What the model says: protocols, prompts, prompt formats, and the models themselves.

Importing this package needs no optional dependency. What runs weights in-process is loaded on
first use: ``LocalModel``, ``load_local`` and ``load_embedded`` (the ``local`` extra), and
``ReplyGrammar``, ``ReplyMatcher`` for constrained decoding.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from agentkit.errors import ModelError
from agentkit.model.formats import Llama4Format, PromptFormat
from agentkit.model.prompt import Plain, Prompt, Segment, Special, as_text
from agentkit.model.protocol import (
    ChatModel,
    Constraint,
    Delta,
    FinishDelta,
    FinishReason,
    GenerationSettings,
    InvalidCallDelta,
    ModelInfo,
    PromptModel,
    TextDelta,
    TokenUsage,
    ToolCallDelta,
)
from agentkit.model.remote import RemoteModel
from agentkit.model.scripted import ScriptedModel
from agentkit.model.toolcalls import CallSyntax, ParsedReply, parse_calls, render_calls

if TYPE_CHECKING:
    from agentkit.model.grammar import ReplyGrammar, ReplyMatcher

__all__ = [
    "CallSyntax",
    "ChatModel",
    "Constraint",
    "Delta",
    "FinishDelta",
    "FinishReason",
    "GenerationSettings",
    "InvalidCallDelta",
    "Llama4Format",
    "ModelInfo",
    "ParsedReply",
    "Plain",
    "Prompt",
    "PromptFormat",
    "PromptModel",
    "RemoteModel",
    "ReplyGrammar",
    "ReplyMatcher",
    "ScriptedModel",
    "Segment",
    "Special",
    "TextDelta",
    "TokenUsage",
    "ToolCallDelta",
    "as_text",
    "parse_calls",
    "render_calls",
]

_LAZY: Final = {
    "LocalModel": "agentkit.model.local",
    "load_local": "agentkit.model.local",
    "load_embedded": "agentkit.model.embedded",
    "ReplyGrammar": "agentkit.model.grammar",
    "ReplyMatcher": "agentkit.model.grammar",
}


def __getattr__(name: str) -> object:
    """Load what needs torch on first use; ``ModelError`` names the extra where it is missing."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_LAZY[name]), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("agentkit"):
            raise
        raise ModelError(
            f"{name} needs the Python package {error.name}, which is not installed",
            cure="install the local extra: pip install 'agentkit-gated[local]'",
        ) from None
