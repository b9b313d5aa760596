"""Tool use: right calls, faithful answers, restraint.

The cases are drawn by seed from tools and wordings of their own, none of which stands in the
embedded model's training data (``training/tool_use``). Works for every ``ChatModel``.
"""

from __future__ import annotations

from agentkit.evaluation.tools.cases import Case, Kind
from agentkit.evaluation.tools.draw import draw_cases
from agentkit.evaluation.tools.report import ToolReport
from agentkit.evaluation.tools.run import evaluate_tools

__all__ = ["Case", "Kind", "ToolReport", "draw_cases", "evaluate_tools"]
