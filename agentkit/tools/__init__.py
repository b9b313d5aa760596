"""What can be called: declarations, the ``@tool`` decorator and the built-in tools."""

from agentkit.tools.declaration import Effect, Tool, ToolCall, ToolFunction
from agentkit.tools.decorator import tool
from agentkit.tools.endorsement import (
    Endorsement,
    HostNamedByUser,
    ListedBy,
    RecordNamedByUser,
)
from agentkit.tools.execution_record import execution_recorder
from agentkit.tools.loading import load_tool
from agentkit.tools.python import execution_text, python_tool
from agentkit.tools.results import ReadersIn, ResultFields, ResultReaders, ReturnRule

__all__ = [
    "Effect",
    "Endorsement",
    "HostNamedByUser",
    "ListedBy",
    "ReadersIn",
    "RecordNamedByUser",
    "ResultFields",
    "ResultReaders",
    "ReturnRule",
    "Tool",
    "ToolCall",
    "ToolFunction",
    "execution_recorder",
    "execution_text",
    "load_tool",
    "python_tool",
    "tool",
]
