"""What can be called: declarations, the ``@tool`` decorator and the built-in tools."""

from agentkit.tools.declaration import Effect, ReturnRule, Tool, ToolCall, ToolFunction
from agentkit.tools.decorator import tool
from agentkit.tools.loading import load_tool
from agentkit.tools.python import execution_facts, execution_text, python_tool

__all__ = [
    "Effect",
    "ReturnRule",
    "Tool",
    "ToolCall",
    "ToolFunction",
    "execution_facts",
    "execution_text",
    "load_tool",
    "python_tool",
    "tool",
]
