"""Tool calls as text: read strictly, written so that they read back."""

from agentkit.model.toolcalls.parse import parse_calls
from agentkit.model.toolcalls.render import NamedCall, render_calls
from agentkit.model.toolcalls.syntax import CallProblem, CallSyntax, ParsedReply, is_tool_name
from agentkit.model.toolcalls.values import as_arguments, check_value

__all__ = [
    "CallProblem",
    "CallSyntax",
    "NamedCall",
    "ParsedReply",
    "as_arguments",
    "check_value",
    "is_tool_name",
    "parse_calls",
    "render_calls",
]
