"""Prompt formats: how each model family writes conversations, tools and calls."""

from agentkit.model.formats.chatml import ChatmlFormat
from agentkit.model.formats.llama4 import Llama4Format
from agentkit.model.formats.protocol import PromptFormat

__all__ = ["ChatmlFormat", "Llama4Format", "PromptFormat"]
